"""Benchmarks of the package; `python -m benchmarks` lists the commands."""
