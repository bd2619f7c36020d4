"""Cells drawn from a trained model: any perturbation, library size and quality (docs/method.md 8).

Particle n draws M, E and qcE from the guide and z_basal from the prior, and shares them among all
conditions (common random numbers). The noise of counts differs by condition. Every draw has an
address (model/noise.py), so chunking changes no number.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.memory import items_within, numbers_within
from gpo_vae_jax.model import bind, sample_shared_noise
from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.model.cell_effects import numbers_of_network
from gpo_vae_jax.model.gpo_vae import GPOVAE
from gpo_vae_jax.model.noise import row_keys, sample_basal_noise
from gpo_vae_jax.model.precision import exact_products
from gpo_vae_jax.predict.conditions import Conditions, conditions_of, cut
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Params

_CPU_ROWS = 512  # cells drawn at a time on a CPU: more leave its cache and gain nothing
_ESCAPE = 1  # folded into the key of counts for which cells escape
MOST_PARTICLES = 64  # drawn at a time


class Draw(NamedTuple):
    """What is drawn of every condition."""

    seed: int = 0
    n_particles: int = 100
    library_size: float | np.ndarray = 10_000.0  # UMI counts, or [P, C] those of each cell
    failed: bool = False  # cells that failed quality control instead of good ones
    expected: bool = False  # expected counts instead of sampled ones
    memory_gib: float = 2.0  # of one chunk


class Chunk(NamedTuple):
    """The cells of some particles and conditions."""

    particles: slice
    conditions: slice
    values: np.ndarray  # [p, c, G] float32


def draw_cells(
    params: Params, conditions: Conditions, draw: Draw, *, spec: Spec
) -> Iterator[Chunk]:
    """Draw cells in chunks, particles slowest; every cell comes once.

    Args:
      params: of the model.
      conditions: C perturbations.
      draw: what is drawn of each.
      spec: sizes and settings of the model.

    Yields:
      Counts (values, for the normal heads) of a chunk's particles and conditions.
    """
    spec = spec.of_model
    order = gene_order(params, draw, spec=spec)
    back = np.argsort(order)
    n_conditions = len(conditions.number)
    step, width = chunk_sizes(conditions, draw.memory_gib, spec=spec)
    for first in range(0, draw.n_particles, step):
        particles = np.arange(first, first + step)
        count = min(step, draw.n_particles - first)
        for part, which in cut(conditions, width):
            library = _library_of(draw.library_size, particles, which, draw.n_particles)
            values = _cells(
                params, part, particles, library, draw.seed, order,
                spec=spec, failed=draw.failed, expected=draw.expected,
            )  # fmt: skip
            stop = min(which[0] + width, n_conditions)
            values = np.asarray(values)[:count, : stop - which[0]][..., back]
            yield Chunk(slice(first, first + count), slice(int(which[0]), stop), values)


def values_of(
    params: Params,
    conditions: Conditions,
    particles: Array,
    library_size: Array,
    seed: Array | int,
    genes: Array,
    *,
    spec: Spec,
    failed: bool,
    expected: bool,
) -> Array:
    """Draw the cells of particles [p] under all conditions, [p, C, G]; not jitted itself.

    The genes of the result are in the order of `genes`, which changes the time, not the values.

    Args:
      params: of the model.
      conditions: C perturbations.
      particles: [p] numbers of the particles.
      library_size: [p, C] UMI counts.
      seed: of all draws.
      genes: [G] the genes, in the order in which they are drawn (`gene_order`).
      spec: sizes and settings of the model.
      failed: whether the cells failed quality control.
      expected: whether expected counts are returned.
    """
    model = bind(params, spec)
    shared_key, basal_key, counts_key = jax.random.split(jax.random.key(seed), 3)
    noise = sample_shared_noise(shared_key, spec, particles, conditions.rows)
    shared = model.guide.sample_shared(noise, conditions.rows)
    effects = model.guide.effects(shared, conditions, conditions.rows)
    basal = sample_basal_noise(basal_key, spec, particles, jnp.arange(1))  # one cell: [p, 1, L]
    quality = jnp.full(len(conditions.number), float(failed))
    hidden = model.decoder.hidden(basal, effects, shared.quality, quality)
    change = model.decoder.change(effects)
    if change is not None and spec.model.escape_prior:
        change = change * draw_acting(counts_key, model, particles, conditions).T[..., None]
    given = model.decoder.distribution(hidden, library_size, change)
    given = jax.tree.map(lambda of_genes: of_genes[..., genes], given)
    if expected:
        return given.mean
    return model.decoder.sample(row_keys(counts_key, particles, conditions.number), given, genes)


def gene_order(params: Params, draw: Draw, *, spec: Spec) -> np.ndarray:
    """Sort the genes by expected control expression, [G] uint32: counts are then drawn faster."""
    particles, library = np.arange(4), np.full((4, 1), np.mean(draw.library_size), np.float32)
    genes = np.arange(spec.sizes.n_genes, dtype=np.uint32)
    expected = _cells(
        params, conditions_of([()], ()), particles, library, draw.seed, genes,
        spec=spec.of_model, failed=draw.failed, expected=True,
    )  # fmt: skip
    return np.argsort(np.asarray(expected).mean((0, 1)), kind="stable").astype(np.uint32)


def chunk_sizes(conditions: Conditions, memory_gib: float, *, spec: Spec) -> tuple[int, int]:
    """Return how many particles and conditions one chunk may have, at least one of each.

    Particles are a power of two, at most `MOST_PARTICLES`; conditions are cut where one particle
    does not fit.
    """
    config, sizes = spec.model, spec.sizes
    budget = numbers_within(memory_gib)

    def of_particle(n_conditions: int) -> int:
        n_rows = min(len(conditions.rows), n_conditions * conditions.dosage.shape[1])
        of_cell = 10 * sizes.n_genes + 6 * config.decoder_n_hidden
        return numbers_of_network(n_rows, spec) + n_conditions * of_cell

    width = len(conditions.number)
    while width > 1 and of_particle(width) > budget:
        width = -(-width // 2)
    step = min(MOST_PARTICLES, items_within(budget, of_particle(width)))
    if on_cpu():
        step = min(step, items_within(_CPU_ROWS, width))
    return 1 << (step.bit_length() - 1), width


def _library_of(
    library_size: float | np.ndarray, particles: np.ndarray, which: np.ndarray, n_particles: int
) -> np.ndarray:
    """Return the library size of each cell of a chunk, [p, c]."""
    if np.ndim(library_size) == 0:
        return np.full((len(particles), len(which)), library_size, np.float32)
    rows = np.minimum(particles, n_particles - 1)
    return np.asarray(library_size, np.float32)[np.ix_(rows, which)]


def draw_acting(key: Array, model: GPOVAE, particles: Array, conditions: Conditions) -> Array:
    """Draw whether the perturbation acts in each cell, [p, C] 0/1."""
    keys = row_keys(jax.random.fold_in(key, _ESCAPE), particles, conditions.number)
    uniform = jax.vmap(jax.vmap(jax.random.uniform))(keys)
    acts = model.decoder.efficacy.log_shares(conditions, conditions.rows)[:, 0]
    return (uniform < jnp.exp(acts)[None]).astype(jnp.float32)


@partial(jax.jit, static_argnames=("spec", "failed", "expected"))
@exact_products
def _cells(
    params: Params,
    conditions: Conditions,
    particles: Array,
    library_size: Array,
    seed: Array | int,
    genes: Array,
    *,
    spec: Spec,
    failed: bool,
    expected: bool,
) -> Array:
    return values_of(
        params, conditions, particles, library_size, seed, genes,
        spec=spec, failed=failed, expected=expected,
    )  # fmt: skip
