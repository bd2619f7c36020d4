"""The predictive IWELBO: how well the model describes held-out cells (docs/method.md 8.1)."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.memory import items_within, numbers_within
from gpo_vae_jax.model import bind, sample_shared_noise
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.cell_effects import numbers_of_network
from gpo_vae_jax.model.decoder import prior_basal
from gpo_vae_jax.model.guide import SharedSample
from gpo_vae_jax.model.noise import sample_basal_noise
from gpo_vae_jax.model.precision import exact_products
from gpo_vae_jax.objective import log_likelihood
from gpo_vae_jax.progress import bar as progress_bar
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch, InputStatistics, Params, SharedNoise, Split

_MOST_CELLS = 256  # scored at a time


@partial(jax.jit, static_argnames="spec")
@exact_products
def predictive_iwelbo(
    params: Params,
    statistics: InputStatistics,
    batch: Batch,
    shared: SharedSample,
    basal_noise: Array,
    *,
    spec: Spec,
) -> Array:
    """Return the predictive IWELBO of each cell, [B].

    M, E and qcE are sampled from the guide and not scored; what is scored is the log-mean-exp
    over particles of log p(x | own quality) + log p(z) - log q(z).

    Args:
      params: of the model.
      statistics: of the training cells.
      batch: the cells.
      shared: from `sample_shared`, the same for all batches of an evaluation.
      basal_noise: [P, B, L].
      spec: sizes and settings of the model.
    """
    model = bind(params, spec)
    effects = model.guide.effects(shared, batch)
    posterior = model.guide.basal_posterior(batch, statistics, effects, shared.quality)
    basal = dist.gaussian_sample(posterior, basal_noise)
    score = log_likelihood(model, batch, basal, effects, shared)
    score += prior_basal(basal).sum(-1)
    score -= dist.gaussian_sample_log_prob(posterior, basal_noise).sum(-1)
    return jax.nn.logsumexp(score, axis=0) - math.log(basal_noise.shape[0])


@partial(jax.jit, static_argnames="spec")
@exact_products
def sample_shared(params: Params, noise: SharedNoise, *, spec: Spec) -> SharedSample:
    """Sample M, E and qcE from the guide, once for all cells."""
    return bind(params, spec).guide.sample_shared(noise)


def predictive_iwelbo_of_split(
    params: Params,
    split: Split,
    *,
    spec: Spec,
    seed: int = 0,
    n_particles: int = 100,
    memory_gib: float = 2.0,
    progress: bool = False,
) -> np.ndarray:
    """Return the predictive IWELBO of every cell of a split, [N], chunk by chunk.

    Args:
      params: of the model.
      split: the cells.
      spec: sizes and settings of the model.
      seed: of the noise.
      n_particles: P.
      memory_gib: of one chunk; it changes the time, not the result.
      progress: whether a bar is shown on standard error.
    """
    shared_key, basal_key = jax.random.split(jax.random.key(seed))
    spec, n_cells = spec.of_model, len(split.cells.weight)
    width, n_rows = chunk_sizes(n_particles, memory_gib, spec=spec)
    n_rows = min(n_rows, n_cells)
    total = np.full(n_cells, -np.inf)
    n_scores = n_cells * -(-n_particles // width)
    with progress_bar(n_scores, "cell", label="predictive IWELBO", shown=progress) as bar:
        for first in range(0, n_particles, width):
            particles = jnp.arange(first, min(first + width, n_particles))
            shared = sample_shared(params, _shared_noise(shared_key, particles, spec), spec=spec)
            for start in range(0, n_cells, n_rows):
                rows = np.arange(start, start + n_rows).clip(max=n_cells - 1)
                batch = jax.tree.map(lambda a, at=rows: jnp.asarray(np.asarray(a)[at]), split.cells)
                noise = _basal_noise(basal_key, particles, jnp.asarray(rows), spec)
                score = predictive_iwelbo(
                    params, split.context.statistics, batch, shared, noise, spec=spec
                )
                at = slice(start, min(start + n_rows, n_cells))
                found = np.asarray(score, np.float64)[: at.stop - start] + math.log(len(particles))
                total[at] = np.logaddexp(total[at], found)
                bar.update(at.stop - start)
    return total - math.log(n_particles)


def chunk_sizes(n_particles: int, memory_gib: float, *, spec: Spec) -> tuple[int, int]:
    """Return how many particles and cells are scored at a time: at least one of each.

    Half of the memory is for the variables that cells share, half for the genes of the cells.
    """
    config, sizes = spec.model, spec.sizes
    half = numbers_within(memory_gib / 2)
    width = min(n_particles, items_within(half, numbers_of_network(sizes.n_perturbed, spec)))
    of_cell = width * (6 * sizes.n_genes + 4 * config.decoder_n_hidden) + 8 * sizes.n_genes
    return width, min(_MOST_CELLS, items_within(half, of_cell))


@partial(jax.jit, static_argnames="spec")
def _shared_noise(key: Array, particles: Array, spec: Spec) -> SharedNoise:
    return sample_shared_noise(key, spec, particles)


@partial(jax.jit, static_argnames="spec")
def _basal_noise(key: Array, particles: Array, rows: Array, spec: Spec) -> Array:
    return sample_basal_noise(key, spec, particles, rows)
