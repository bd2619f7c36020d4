"""The PyTorch original's files: checkpoints and settings, read safely, and written back."""
