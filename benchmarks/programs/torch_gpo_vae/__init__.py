"""GPO-VAE in plain PyTorch, written from docs/method.md: the baseline of the step benchmark.

Eager float32 with torch and NumPy alone, in the style of torch.distributions, doing the original's
work: every step decodes both qualities and draws observations; D is a dense matrix; all T rows of
the network are sampled and encoded; first layers read whole concatenations, particle by particle;
the second guide pass is a full one. Parameters have the names of the recorded runs.
"""
