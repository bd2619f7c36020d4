"""Known networks: read from the files of public databases, placed over the treatments by name."""

from gpo_vae_jax.evaluate.knowledge.networks import (
    KnownNetwork,
    PlacedNetwork,
    place,
    read_network,
    read_networks,
    union,
)

__all__ = ["KnownNetwork", "PlacedNetwork", "place", "read_network", "read_networks", "union"]
