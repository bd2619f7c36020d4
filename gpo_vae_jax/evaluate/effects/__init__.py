"""Average treatment effects, predictions and the quality of drawn cells."""
