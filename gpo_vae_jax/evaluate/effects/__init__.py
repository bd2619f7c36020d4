"""Average treatment effects of model and data, their scores, and the quality of drawn cells."""
