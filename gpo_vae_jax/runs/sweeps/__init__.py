"""Sweeps: many runs over a grid of settings, in one folder, with one table."""
