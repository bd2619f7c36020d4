"""Evaluation in memory: effects, networks, known networks, comparison and the report."""
