"""Statistics that preparation and evaluation share: pure functions of NumPy arrays."""
