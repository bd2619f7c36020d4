"""NumPy statistics shared by data and evaluation: rank tests, distances, correlations, hashing."""
