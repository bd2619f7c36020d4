"""GPO-VAE in plain PyTorch, written from docs/method.md: what our steps are timed against.

Eager float32 with torch and NumPy alone, in the manner of torch.distributions, doing what the
original does: both qualities are decoded and observations drawn in every step; D is a dense matrix;
all T rows of the network are sampled and encoded; first layers read whole concatenations, particle
by particle; the second guide pass is a full one. Parameters have the names of the recorded runs.
"""
