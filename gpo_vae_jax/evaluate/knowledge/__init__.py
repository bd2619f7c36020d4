"""Known networks: read from files of public databases and mapped onto the treatments by name."""

from gpo_vae_jax.evaluate.knowledge.networks import (
    KnownNetwork,
    PlacedNetwork,
    place,
    read_network,
    read_networks,
    union,
)

__all__ = ["KnownNetwork", "PlacedNetwork", "place", "read_network", "read_networks", "union"]
