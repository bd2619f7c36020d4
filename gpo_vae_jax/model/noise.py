"""The noise of training, evaluation and prediction: every number has an address.

A draw depends on its key, the number of its particle, the number of its row (a treatment, a cell,
a condition) and its column. So it is the same whichever particles and rows are drawn with it:
chunking changes no number.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Integer, Shaped

from gpo_vae_jax.model.readout import n_others
from gpo_vae_jax.model.row_noise import logistic_rows, normal_rows
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Noise, ReadoutNoise, SharedNoise

READOUT = 1  # folded into the key of an evaluation for the readout


class SharedSeeds(NamedTuple):
    """What `SharedNoise` is drawn from."""

    mask: Array  # [P, R] keys
    embedding: Array  # [P, R] keys
    quality: Array  # [P, Q, L], drawn already


class NoiseSeeds(NamedTuple):
    """What `Noise` is drawn from: small, so that it is there before a step begins."""

    shared: SharedSeeds
    basal: Array  # [P, B] keys
    counterfactual: SharedSeeds
    readout: tuple[Array, Array] | None  # [1, T] keys


def sample_noise(
    key: Array,
    spec: Spec,
    *,
    n_particles: int,
    n_cells: int,
    rows: Integer[Array, " R"] | None = None,
    n_shared: int | None = None,
) -> Noise:
    """Draw all the noise of one evaluation of the objective (arguments: see `noise_seeds`)."""
    seeds = noise_seeds(
        key, spec, n_particles=n_particles, n_cells=n_cells, rows=rows, n_shared=n_shared
    )
    return drawn_noise(seeds, spec)


def noise_seeds(
    key: Array,
    spec: Spec,
    *,
    n_particles: int,
    n_cells: int,
    rows: Integer[Array, " R"] | None = None,
    n_shared: int | None = None,
) -> NoiseSeeds:
    """Return what the noise of one evaluation of the objective is drawn from.

    Args:
      key: of this evaluation.
      spec: sizes and settings of the model.
      n_particles: P.
      n_cells: B; the cells of a batch are numbered by their position.
      rows: see `sample_shared_noise`.
      n_shared: samples of what cells share, taken by the particles in turn; by default P.
    """
    first, second, cells = jax.random.split(key, 3)
    n_shared = n_particles if n_shared is None else n_shared

    def of_pass(key: Array) -> SharedSeeds:
        mask, embedding, quality = jax.random.split(key, 3)
        # All particles in one draw, unlike below: the numbers of every run trained so far.
        shape = (n_shared, spec.sizes.n_quality, spec.model.n_latent)
        return SharedSeeds(
            *_seeds_of_network(mask, embedding, spec, jnp.arange(n_shared), rows),
            jax.random.normal(quality, shape),
        )

    return NoiseSeeds(
        shared=of_pass(first),
        basal=row_keys(cells, jnp.arange(n_particles), jnp.arange(n_cells)),
        counterfactual=of_pass(second),
        readout=_readout_seeds(jax.random.fold_in(key, READOUT), spec),
    )


def drawn_noise(seeds: NoiseSeeds, spec: Spec) -> Noise:
    """Draw the noise that the seeds stand for."""

    def of_pass(seeds: SharedSeeds) -> SharedNoise:
        return SharedNoise(*_noise_of_network(seeds.mask, seeds.embedding, spec), seeds.quality)

    return Noise(
        shared=of_pass(seeds.shared),
        basal=normal_rows(seeds.basal, spec.model.n_latent),
        counterfactual=of_pass(seeds.counterfactual),
        readout=None if seeds.readout is None else _readout_noise(seeds.readout, spec),
    )


def sample_shared_noise(
    key: Array,
    spec: Spec,
    particles: Integer[Array, " P"],
    rows: Integer[Array, " R"] | None = None,
) -> SharedNoise:
    """Draw the noise of the variables that cells share, for one guide pass.

    Args:
      key: of this pass.
      spec: sizes and settings of the model.
      particles: [P] numbers of the particles.
      rows: [R'] the treatments whose rows are drawn; by default the R perturbed ones. Propagated
        effects draw all T rows anyway.

    Returns:
      Mask and embedding [P, R', T], quality [P, Q, L].
    """
    mask, embedding, quality = jax.random.split(key, 3)
    columns = row_keys(quality, particles, jnp.arange(spec.sizes.n_quality))
    return SharedNoise(
        *_noise_of_network(*_seeds_of_network(mask, embedding, spec, particles, rows), spec),
        normal_rows(columns, spec.model.n_latent),
    )


def sample_basal_noise(
    key: Array, spec: Spec, particles: Integer[Array, " P"], rows: Integer[Array, " B"]
) -> Float[Array, "P B L"]:
    """Draw the noise of z_basal, [P, B, L], of numbered particles [P] and cells [B]."""
    return normal_rows(row_keys(key, particles, rows), spec.model.n_latent)


def row_keys(
    key: Array, particles: Integer[Array, " P"], rows: Integer[Array, " R"]
) -> Shaped[Array, "P R"]:
    """Return the key of every particle [P] and row [R], [P, R]."""
    fold = jax.random.fold_in
    of_rows = jax.vmap(lambda draw: jax.vmap(lambda row: fold(fold(key, draw), row))(rows))
    return of_rows(particles)


def _seeds_of_network(
    mask: Array, embedding: Array, spec: Spec, particles: Array, rows: Array | None
) -> tuple[Array, Array]:
    """Return the keys of the rows of M and E, each [P, R']."""
    if spec.model.effect == "propagated":
        rows = jnp.arange(spec.sizes.n_treatments)
    rows = jnp.arange(spec.sizes.n_perturbed) if rows is None else rows
    return row_keys(mask, particles, rows), row_keys(embedding, particles, rows)


def _noise_of_network(mask: Array, embedding: Array, spec: Spec) -> tuple[Array, Array]:
    """Draw the noise of M (logistic) and E (normal), each [P, R', T], from keys [P, R']."""
    n = spec.sizes.n_treatments
    return logistic_rows(mask, n), normal_rows(embedding, n)


def _readout_seeds(key: Array, spec: Spec) -> tuple[Array, Array] | None:
    if spec.model.effect == "latent":
        return None
    mask, weight = jax.random.split(key)
    one, rows = jnp.zeros(1, int), jnp.arange(spec.sizes.n_treatments)
    return row_keys(mask, one, rows), row_keys(weight, one, rows)


def _readout_noise(seeds: tuple[Array, Array], spec: Spec) -> ReadoutNoise:
    """Draw the noise of the readout of propagated effects, [T, O]."""
    n = n_others(spec)
    (logistic,), (normal,) = logistic_rows(seeds[0], n), normal_rows(seeds[1], n)
    return ReadoutNoise(logistic, normal)
