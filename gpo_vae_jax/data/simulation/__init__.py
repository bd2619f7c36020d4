"""Raw Perturb-seq counts whose gene regulatory network is known.

`simulated_network` draws the network and the changes that travel through it, `simulated_cells` the
counts. Every draw comes from `simulate.seed`. What a setting adds is drawn from a generator of its
own, so that the edges among measured genes, base expression, labels and depths are the same with
and without it.
"""

from gpo_vae_jax.data.simulation.simulated_cells import CONTROL, simulate
from gpo_vae_jax.data.simulation.simulated_network import propagate, random_network

__all__ = ["CONTROL", "propagate", "random_network", "simulate"]
