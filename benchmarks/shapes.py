"""The sizes at which steps are measured: those of the published data sets, and a tiny one.

Nothing here imports jax or torch: `configuration` does where it is called, `published` never.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[1]

if TYPE_CHECKING:
    from gpo_vae_jax.config import Config
    from gpo_vae_jax.types import Sizes


class Shape(NamedTuple):
    """Say how large a data set is, and which published configuration goes with it."""

    name: str
    genes: int  # G
    treatments: int  # T
    perturbed: int  # R
    cells: int  # of the whole data set
    config: str  # a module in configs/


SHAPES = {
    "rpe1": Shape("rpe1", 8749, 655, 383, 91_891, "rpe1"),
    "k562": Shape("k562", 8563, 1546, 622, 129_478, "replogle"),
    "adamson": Shape("adamson", 8000, 415, 68, 46_236, "adamson"),
    "tiny": Shape("tiny", 60, 12, 8, 600, "rpe1"),
}
TINY_BATCH, TINY_LATENT, TINY_HIDDEN = 64, 6, 16


def scaled(
    shape: Shape,
    *,
    genes: int | None = None,
    treatments: int | None = None,
    perturbed: int | None = None,
) -> Shape:
    """Change sizes; `perturbed` keeps its share of `treatments` unless it is given."""
    if treatments is not None and perturbed is None:
        perturbed = round(shape.perturbed * treatments / shape.treatments)
    changed = {"genes": genes, "treatments": treatments, "perturbed": perturbed}
    result = shape._replace(**{k: v for k, v in changed.items() if v is not None})
    if not 1 <= result.perturbed <= result.treatments:
        raise ValueError(
            f"perturbed={result.perturbed} must lie between 1 and treatments={result.treatments}"
        )
    return result


def published(
    shape: Shape, batch_size: int | None = None, n_particles: int | None = None
) -> Config:
    """Return the published settings of a shape; the tiny one has small widths and batches."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from gpo_vae_jax.config_io import from_config_dict

    config = from_config_dict(importlib.import_module(f"configs.{shape.config}").get_config())
    train: dict[str, int] = {}
    if shape.name == "tiny":
        widths = ("basal_encoder_n_hidden", "embedding_encoder_n_hidden", "decoder_n_hidden")
        model = dataclasses.replace(
            config.model, n_latent=TINY_LATENT, **dict.fromkeys(widths, TINY_HIDDEN)
        )
        config = dataclasses.replace(config, model=model)
        train["batch_size"] = TINY_BATCH
    if batch_size is not None:
        train["batch_size"] = batch_size
    if n_particles is not None:
        train["n_particles"] = n_particles
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **train))


def configuration(
    shape: Shape, batch_size: int | None = None, n_particles: int | None = None
) -> tuple[Config, Sizes]:
    """Return what a model of this shape needs (512 cells, tiny 64; 5 particles; unless given)."""
    config = published(shape, batch_size, n_particles)
    from gpo_vae_jax.types import Sizes

    return config, Sizes(shape.genes, shape.treatments, shape.perturbed)
