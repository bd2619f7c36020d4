"""Expected profiles of cells whose latents are those of observed cells (docs/method.md 8.2).

An observed cell lends its z (a draw from its posterior), its library size and its quality. It is
decoded under any perturbation, and the expectation over counts is taken in closed form where the
likelihood head has one.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from gpo_vae_jax.model import bind, sample_shared_noise
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.cell_effects import CellEffects
from gpo_vae_jax.model.cells import Perturbed, failed
from gpo_vae_jax.model.decoder import PER, Decoder
from gpo_vae_jax.model.guide import SharedSample
from gpo_vae_jax.model.noise import row_keys, sample_basal_noise
from gpo_vae_jax.model.precision import exact_products
from gpo_vae_jax.predict.conditions import Conditions
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Batch, InputStatistics, Params


@partial(jax.jit, static_argnames="spec")
@exact_products
def own_profiles(
    params: Params,
    statistics: InputStatistics,
    cells: Batch,
    numbers: Array,
    particles: Array,
    seed: Array | int,
    *,
    spec: Spec,
) -> Array:
    """Return the expected profile of cells as they are, [2, P, B, G].

    Covariates are known to the encoder; what is decoded is a cell of average ones, so that
    perturbations can be compared that are spread unevenly over batches.

    The first axis is log2(1 + counts per 10,000), then counts.

    Args:
      params: of the model.
      statistics: of the training cells.
      cells: B cells.
      numbers: [B] the number of each cell, the address of its noise.
      particles: [P] numbers of the particles.
      seed: of all draws.
      spec: sizes and settings of the model.
    """
    decoder, shared, effects, basal, key = _lent(
        params, statistics, cells, numbers, particles, seed, spec
    )
    hidden = decoder.hidden(basal, effects, shared.quality, failed(cells))  # of an average batch
    size = cells.library_size.astype(jnp.float32)
    keys = row_keys(key, particles, numbers)
    acting = _profile(decoder, hidden, decoder.change(effects), size, keys)
    if not spec.model.escape_prior:
        return acting
    return _mixture(acting, _escaped(decoder, hidden, size, keys), cells, decoder)


@partial(jax.jit, static_argnames="spec")
@exact_products
def lent_profiles(
    params: Params,
    statistics: InputStatistics,
    lenders: Batch,
    numbers: Array,
    conditions: Conditions,
    weights: Array,
    particles: Array,
    seed: Array | int,
    *,
    spec: Spec,
) -> Array:
    """Return the expected profile of conditions, summed over lenders, [W, 2, P, C, G].

    Args:
      params: of the model.
      statistics: of the training cells.
      lenders: B cells that lend z, library size and quality.
      numbers: [B] the number of each, the address of its noise.
      conditions: C perturbations under which every lender is decoded.
      weights: [W, B, C] of each lender in each of W sums.
      particles: [P] numbers of the particles.
      seed: of all draws.
      spec: sizes and settings of the model.
    """
    decoder, shared, own_effects, basal, key = _lent(
        params, statistics, lenders, numbers, particles, seed, spec
    )
    guide = bind(params, spec).guide
    rows = jnp.asarray(conditions.rows)
    of_rows = conditions._replace(perturbation=rows[conditions.perturbation])
    effects = guide.effects(shared, of_rows)
    _, n_cells, n_conditions = weights.shape
    every = CellEffects(
        effects.rows,
        jnp.tile(effects.perturbation, (n_cells, 1)),
        jnp.tile(effects.dosage, (n_cells, 1)),
    )
    quality = jnp.repeat(failed(lenders), n_conditions)
    own = lenders.covariates  # every lender stays in its batch
    covariates = None if own is None else jnp.repeat(own, n_conditions, 0)
    hidden = decoder.hidden(
        jnp.repeat(basal, n_conditions, 1), every, shared.quality, quality, covariates
    )
    keys = jax.vmap(
        lambda cell: jax.vmap(lambda key: jax.random.fold_in(key, cell))(
            row_keys(key, particles, conditions.number).reshape(-1)
        )
    )(numbers)  # [B, P C]
    keys = keys.reshape(n_cells, len(particles), n_conditions).swapaxes(0, 1)
    size = jnp.repeat(lenders.library_size.astype(jnp.float32), n_conditions)
    keys = keys.reshape(len(particles), -1)
    values = _profile(decoder, hidden, decoder.change(every), size, keys)
    values = values.reshape(2, len(particles), n_cells, n_conditions, -1)
    if spec.model.escape_prior:  # an escaped cell is the same under every condition
        alone = decoder.hidden(basal, own_effects, shared.quality, failed(lenders), own)
        size, keys = lenders.library_size.astype(jnp.float32), row_keys(key, particles, numbers)
        values = _mixture(
            values, _escaped(decoder, alone, size, keys)[:, :, :, None], of_rows, decoder
        )
    return jnp.einsum("wbc,tpbcg->wtpcg", weights, values)


def _lent(
    params: Params,
    statistics: InputStatistics,
    cells: Batch,
    numbers: Array,
    particles: Array,
    seed: Array | int,
    spec: Spec,
) -> tuple[Decoder, SharedSample, CellEffects, Array, Array]:
    """Return the decoder, a sample of the network, effects and z [P, B, L] of cells, and a key."""
    model = bind(params, spec)
    shared_key, basal_key, counts_key = jax.random.split(jax.random.key(seed), 3)
    shared = model.guide.sample_shared(sample_shared_noise(shared_key, spec, particles))
    effects = model.guide.effects(shared, cells)
    posterior = model.guide.basal_posterior(cells, statistics, effects, shared.quality)
    noise = sample_basal_noise(basal_key, spec, particles, numbers)
    return model.decoder, shared, effects, dist.gaussian_sample(posterior, noise), counts_key


def _mixture(acting: Array, escaped: Array, cells: Perturbed, decoder: Decoder) -> Array:
    """Return the profile of cells [..., B, G] averaged over whether the perturbation acts."""
    share = jnp.exp(decoder.efficacy.log_shares(cells)[:, 0])
    share = share.reshape((1,) * (acting.ndim - 2) + (-1, 1))
    return share * acting + (1 - share) * escaped


def _escaped(decoder: Decoder, hidden: Array, library_size: Array, keys: Array) -> Array:
    """Return the profile of cells that escape their perturbation, [2, P, B, G]."""
    nothing = jnp.zeros((1, 1, decoder.spec.sizes.n_genes))
    return _profile(decoder, hidden, nothing, library_size, keys)


def _profile(
    decoder: Decoder, hidden: Array, change: Array | None, library_size: Array, keys: Array
) -> Array:
    """Return log2(1 + counts per 10,000) and counts, [2, P, B, G], expected or else drawn."""
    given = decoder.distribution(hidden, library_size, change)
    shape = jnp.broadcast_shapes(given.mean.shape, (len(keys), 1, 1))
    expected = decoder.expected_log2(given, library_size)
    if expected is not None:
        return jnp.stack([jnp.broadcast_to(of, shape) for of in (expected, given.mean)])
    genes = jnp.arange(given.mean.shape[-1], dtype=jnp.uint32)
    counts = decoder.sample(keys, given, genes)
    positive = jnp.maximum(counts, 0)  # normal heads draw values below 0
    total = jnp.maximum(positive.sum(-1, keepdims=True), 1e-9)
    return jnp.stack([jnp.log2(1 + PER * positive / total), counts])
