"""GPO-VAE in JAX: predict CRISPR perturbation responses and infer the gene regulatory network."""

__version__ = "0.1.0"
