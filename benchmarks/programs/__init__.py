"""What is timed: the JAX step and its parts, the PyTorch baseline, the floor under both."""
