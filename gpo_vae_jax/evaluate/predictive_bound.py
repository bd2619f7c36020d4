"""The predictive IWELBO: how well held-out cells are described (docs/method.md 8)."""

from __future__ import annotations

import math
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from gpo_vae_jax.model import bind, sample_shared_noise
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.decoder import prior_basal
from gpo_vae_jax.model.guide import SharedSample
from gpo_vae_jax.model.precision import exact_products
from gpo_vae_jax.objective import log_likelihood
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
      shared: from `sample_shared`, the same for all batches of an evaluation.
      basal_noise: [P, B, L].
    """
    model = bind(params, spec)
    counts = model.guide.encode_counts(batch.counts, statistics)
    effects = model.guide.encode_effects(batch, shared)
    posterior = model.guide.basal_posterior(counts, effects, batch.qc_fail, shared)
    basal = dist.gaussian_sample(posterior, basal_noise)
    score = log_likelihood(model, batch, basal, shared)
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

    Noise follows the number of the particle and the row of the cell, so `memory_gib`, what one
    chunk may take, changes time and not the result.
    """
    shared_key, basal_key = jax.random.split(jax.random.key(seed))
    spec, n_cells = spec.of_model, len(split.cells.weight)
    width, n_rows = chunk_sizes(n_particles, memory_gib, spec=spec)
    n_rows = min(n_rows, n_cells)
    total = np.full(n_cells, -np.inf)
    bar = tqdm(
        total=n_cells * -(-n_particles // width), desc="predictive IWELBO", unit="cell",
        disable=not progress, file=sys.stderr, dynamic_ncols=True,
        mininterval=0.5 if sys.stderr.isatty() else 15.0,
    )  # fmt: skip
    with bar:
        for first in range(0, n_particles, width):
            particles = jnp.arange(first, min(first + width, n_particles))
            draws = _noise_of_particles(shared_key, particles, spec)
            shared = sample_shared(params, draws, spec=spec)
            for start in range(0, n_cells, n_rows):
                rows = np.arange(start, start + n_rows).clip(max=n_cells - 1)
                batch = jax.tree.map(lambda a, at=rows: jnp.asarray(np.asarray(a)[at]), split.cells)
                noise = _noise_of_cells(
                    basal_key, jnp.asarray(rows), particles, spec.model.n_latent
                )
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

    Half of the memory is for what particles share, half for the cells' genes.
    """
    config, sizes = spec.model, spec.sizes
    half = memory_gib * 2**30 / 4 / 2  # numbers
    wide = 8 * sizes.n_treatments + 4 * config.embedding_encoder_n_hidden
    width = min(n_particles, max(1, int(half // (sizes.n_perturbed * wide))))
    of_cell = width * (6 * sizes.n_genes + 4 * config.decoder_n_hidden) + 8 * sizes.n_genes
    return width, min(_MOST_CELLS, max(1, int(half // of_cell)))


@partial(jax.jit, static_argnames="spec")
def _noise_of_particles(key: Array, particles: Array, spec: Spec) -> SharedNoise:
    def draw(particle):
        noise = sample_shared_noise(jax.random.fold_in(key, particle), spec, 1)
        return jax.tree.map(lambda draws: draws[0], noise)

    return jax.vmap(draw)(particles)


@partial(jax.jit, static_argnames=("n_latent",))
def _noise_of_cells(key: Array, rows: Array, particles: Array, n_latent: int) -> Array:
    """Draw z_basal's noise, [P, B, L]."""

    def draw(particle, row):
        own = jax.random.fold_in(jax.random.fold_in(key, row), particle)
        return jax.random.normal(own, (n_latent,))

    of_cells = jax.vmap(draw, in_axes=(None, 0))
    return jax.vmap(of_cells, in_axes=(0, None))(particles, rows)
