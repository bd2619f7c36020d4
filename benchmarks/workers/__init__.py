"""Processes of their own: alternating workers, one call in a fresh process."""
