"""The predictive IWELBO: how well held-out cells are described (docs/method.md 8)."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.model import bind, sample_shared_noise
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.generative import prior_basal
from gpo_vae_jax.model.guide import SharedSample
from gpo_vae_jax.objective import log_likelihood
from gpo_vae_jax.types import Array, Batch, InputStatistics, Params, SharedNoise, Sizes, Split


@partial(jax.jit, static_argnames=("config", "sizes"))
def predictive_iwelbo(
    params: Params,
    statistics: InputStatistics,
    batch: Batch,
    shared: SharedSample,
    basal_noise: Array,
    *,
    config: ModelConfig,
    sizes: Sizes,
) -> Array:
    """Give the predictive IWELBO of each cell, [B].

    M, E and qcE are sampled from the guide and not scored; what is scored is the log-mean-exp
    over particles of log p(x | own quality) + log p(z) - log q(z).

    Args:
      shared: from `sample_shared`, the same for all batches of an evaluation.
      basal_noise: [P, B, L].
    """
    model = bind(params, config, sizes)
    counts = model.guide.encode_counts(batch.counts, statistics)
    effects = model.guide.encode_effects(batch, shared)
    posterior = model.guide.basal_posterior(counts, effects, batch.qc_fail, shared)
    basal = dist.gaussian_sample(posterior, basal_noise)
    score = log_likelihood(model, batch, basal, shared)
    score += prior_basal(basal).sum(-1)
    score -= dist.gaussian_sample_log_prob(posterior, basal_noise).sum(-1)
    return jax.nn.logsumexp(score, axis=0) - math.log(basal_noise.shape[0])


@partial(jax.jit, static_argnames=("config", "sizes"))
def sample_shared(
    params: Params, noise: SharedNoise, *, config: ModelConfig, sizes: Sizes
) -> SharedSample:
    """Sample M, E and qcE from the guide, once for all cells."""
    return bind(params, config, sizes).guide.sample_shared(noise)


def predictive_iwelbo_of_split(
    params: Params,
    split: Split,
    *,
    config: ModelConfig,
    sizes: Sizes,
    seed: int = 0,
    n_particles: int = 100,
    batch_size: int = 128,
) -> np.ndarray:
    """Give the predictive IWELBO of every cell of a split, [N], batch by batch.

    The noise of a cell follows its row, so `batch_size` changes memory and time, not the result.
    """
    shared_key, basal_key = jax.random.split(jax.random.key(seed))
    draws = sample_shared_noise(shared_key, config, sizes, n_particles, n_passes=1)
    draws = jax.tree.map(lambda passes: passes[0], draws)
    shared = sample_shared(params, draws, config=config, sizes=sizes)
    n_cells = len(split.cells.weight)
    scores = []
    for start in range(0, n_cells, batch_size):
        rows = np.arange(start, start + batch_size).clip(max=n_cells - 1)
        batch = jax.tree.map(lambda a, rows=rows: jnp.asarray(np.asarray(a)[rows]), split.cells)
        noise = _noise_of_cells(basal_key, jnp.asarray(rows), n_particles, config.n_latent)
        score = predictive_iwelbo(
            params, split.context.statistics, batch, shared, noise, config=config, sizes=sizes
        )
        scores.append(np.asarray(score)[: n_cells - start])
    return np.concatenate(scores)


@partial(jax.jit, static_argnums=(2, 3))
def _noise_of_cells(key: Array, rows: Array, n_particles: int, n_latent: int) -> Array:
    def draw(row):
        return jax.random.normal(jax.random.fold_in(key, row), (n_particles, n_latent))

    return jax.vmap(draw, out_axes=1)(rows)
