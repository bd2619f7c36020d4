"""NumPy statistics for data and evaluation: rank tests, distances, correlation, hashed names."""
