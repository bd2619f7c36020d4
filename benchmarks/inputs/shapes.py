"""The sizes at which steps are measured: those of the published data sets, and a tiny one.

Importing this module needs neither jax, torch nor the package: `published` and `spec_of` import
the package when they are called.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gpo_vae_jax.config import Config
    from gpo_vae_jax.spec import Spec


class Shape(NamedTuple):
    """The size of a data set, and the published settings that go with it."""

    name: str
    genes: int  # G
    treatments: int  # T
    perturbed: int  # R
    cells: int  # of the whole data set
    preset: str  # a function in gpo_vae_jax/presets.py


SHAPES = {
    "rpe1": Shape("rpe1", 8749, 655, 383, 91_891, "rpe1"),
    "k562": Shape("k562", 8563, 1546, 622, 129_478, "replogle"),
    "adamson": Shape("adamson", 8000, 415, 68, 46_236, "adamson"),
    "tiny": Shape("tiny", 60, 12, 8, 800, "rpe1"),
}
PUBLISHED_BATCH, PUBLISHED_PARTICLES = 512, 5  # of every preset; test_shapes.py checks it
TINY_BATCH, TINY_LATENT, TINY_HIDDEN = 64, 6, 16


def scaled(
    shape: Shape,
    *,
    genes: int | None = None,
    treatments: int | None = None,
    perturbed: int | None = None,
) -> Shape:
    """Change sizes; unless it is given, `perturbed` keeps its share of `treatments`.

    Raises:
      ValueError: `perturbed` is below 1 or above `treatments`.
    """
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
    shape: Shape,
    batch_size: int | None = None,
    n_particles: int | None = None,
    precision: str = "float32",
) -> Config:
    """Return the published settings of a shape; the tiny one has small widths and batches."""
    from gpo_vae_jax import presets

    config = getattr(presets, shape.preset)()
    if shape.name == "tiny":
        widths = ("basal_encoder_n_hidden", "embedding_encoder_n_hidden", "decoder_n_hidden")
        model = dataclasses.replace(
            config.model, n_latent=TINY_LATENT, **dict.fromkeys(widths, TINY_HIDDEN)
        )
        config = dataclasses.replace(config, model=model)
        batch_size = batch_size or TINY_BATCH
    train = dataclasses.replace(
        config.train,
        batch_size=batch_size or config.train.batch_size,
        n_particles=n_particles or config.train.n_particles,
        precision=precision,
    )
    return dataclasses.replace(config, train=train)


def spec_of(
    shape: Shape,
    batch_size: int | None = None,
    n_particles: int | None = None,
    precision: str = "float32",
) -> Spec:
    """Return the published settings of a shape with its sizes: what its programs depend on."""
    from gpo_vae_jax.spec import Spec
    from gpo_vae_jax.types import Sizes

    config = published(shape, batch_size, n_particles, precision)
    return Spec.of(config, Sizes(shape.genes, shape.treatments, shape.perturbed))
