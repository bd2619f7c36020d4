"""Cells drawn from observed control cells, each under a perturbation (docs/method.md 8.2).

A control cell lends its z (a draw from its posterior), its library size and its quality, and is
decoded under a perturbation. The cells of a perturbation are lent by controls whose library sizes
are distributed like those of its training cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.memory import items_within, numbers_within
from gpo_vae_jax.model import bind, sample_shared_noise
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.cells import failed
from gpo_vae_jax.model.noise import row_keys, sample_basal_noise
from gpo_vae_jax.model.precision import exact_products
from gpo_vae_jax.predict.conditions import Conditions, conditions_of
from gpo_vae_jax.predict.sampling import draw_acting
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.statistics.random_by_name import hash_names
from gpo_vae_jax.types import Array, Batch, Dataset, InputStatistics, Params

Genes = tuple[str, ...]
_SAMPLES = 64  # of the network, over which the cells are spread
_LEAST, _MOST = 16, 512  # cells drawn at a time


def lenders_of(dataset: Dataset, groups: Sequence[Genes], n_cells: Sequence[int], seed: int):
    """Choose the training control cells that lend the cells of each perturbation.

    A cell's lender is the control whose library size is nearest to that of one of the
    perturbation's training cells, each of which counts as often as the others. Perturbations
    without training cells take controls at random.

    Args:
      dataset: the data; only its training cells are used.
      groups: C perturbations, as the names of their genes; none for the control.
      n_cells: [C] number of cells of each.
      seed: of the draws, which follow names and not the order of cells or perturbations.

    Returns:
      [sum of n_cells] rows of the training split, perturbation by perturbation.

    Raises:
      DataError: there are no control cells in training.
    """
    labels = np.asarray(dataset.labels["train"], dtype=str)
    order = np.argsort(hash_names(dataset.cells["train"], seed, "cells lent"), kind="stable")
    labels = labels[order]
    members: dict[Genes, list[np.ndarray]] = {}
    for label in np.unique(labels):
        genes = dataset.label_genes[str(label)]
        members.setdefault(genes, []).append(order[labels == label])
    if () not in members:
        raise DataError("there are no control cells in training, from which cells are predicted")
    size = np.log(np.maximum(np.asarray(dataset.splits["train"].cells.library_size, float), 1))
    controls = np.concatenate(members[()])
    controls = controls[np.argsort(size[controls], kind="stable")]
    middles = (size[controls][1:] + size[controls][:-1]) / 2
    names = hash_names(["+".join(genes) for genes in groups], seed, "perturbations lent")
    chosen = []
    for genes, n, name in zip(groups, n_cells, names, strict=True):
        rows = np.concatenate(members.get(genes, [controls]))
        rows = np.resize(np.random.default_rng(int(name)).permutation(rows), n)
        chosen.append(rows if not genes else controls[np.searchsorted(middles, size[rows])])
    return np.concatenate(chosen)


def lent_cells(
    params: Params,
    dataset: Dataset,
    groups: Sequence[Genes],
    n_cells: Sequence[int],
    *,
    spec: Spec,
    seed: int = 0,
    memory_gib: float = 2.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw cells of perturbations from control cells.

    Args:
      params: of the model.
      dataset: the data that it was trained on; only its training cells are used.
      groups: C perturbations, as the names of their genes; none for the control.
      n_cells: [C] number of cells of each.
      spec: sizes and settings of the model.
      seed: of all draws.
      memory_gib: of one chunk of the work; it changes no number.

    Returns:
      Counts (values, for the normal heads) [N, G] float32, perturbation by perturbation, and the
      row of the training cell that lent each, [N].

    Raises:
      DataError: a gene is no treatment, or there are no control cells in training.
    """
    spec, split = spec.of_model, dataset.splits["train"]
    rows = lenders_of(dataset, groups, n_cells, seed)
    conditions = conditions_of(groups, dataset.treatments)
    of_cell = np.repeat(np.arange(len(groups)), n_cells)
    n = len(rows)
    sample = np.random.default_rng(seed).permutation(n) % _SAMPLES  # each cell's network
    order = np.argsort(np.asarray(split.context.statistics.mean), kind="stable").astype(np.uint32)
    most = items_within(numbers_within(memory_gib), 12 * spec.sizes.n_genes)
    width = max(1, min(_MOST, most, max(_LEAST, -(-n // _SAMPLES))))
    values = np.empty((n, spec.sizes.n_genes), np.float32)
    for number in range(_SAMPLES):
        (mine,) = np.nonzero(sample == number)
        for start in range(0, len(mine), width):
            new = mine[start : start + width]
            at = np.resize(new, width)  # one shape, one compilation
            of = of_cell[at]
            under = Conditions(
                conditions.rows,
                conditions.perturbation[of],
                conditions.dosage[of],
                at.astype(np.uint32),
            )
            taken = jax.tree.map(lambda x, at=at: jnp.asarray(np.asarray(x)[rows[at]]), split.cells)
            drawn = _lent_cells(
                params, split.context.statistics, taken, under, jnp.array([number]), seed, order,
                spec=spec,
            )  # fmt: skip
            values[np.ix_(new, order)] = np.asarray(drawn)[: len(new)]
    return values, rows


@partial(jax.jit, static_argnames="spec")
@exact_products
def _lent_cells(
    params: Params,
    statistics: InputStatistics,
    lenders: Batch,
    under: Conditions,
    particle: Array,
    seed: Array | int,
    genes: Array,
    *,
    spec: Spec,
) -> Array:
    """Draw the cells [B, G] that lenders make, each under its condition, of one sample."""
    model = bind(params, spec)
    guide, decoder = model.guide, model.decoder
    shared_key, basal_key, counts_key = jax.random.split(jax.random.key(seed), 3)
    every = jnp.arange(spec.sizes.n_treatments)
    shared = guide.sample_shared(sample_shared_noise(shared_key, spec, particle, every), every)
    own = guide.effects(shared, lenders, every)
    posterior = guide.basal_posterior(lenders, statistics, own, shared.quality)
    numbers = under.number
    basal = dist.gaussian_sample(posterior, sample_basal_noise(basal_key, spec, particle, numbers))
    of_rows = under._replace(perturbation=jnp.asarray(under.rows)[under.perturbation])
    effects = guide.effects(shared, of_rows, every)
    hidden = decoder.hidden(basal, effects, shared.quality, failed(lenders), lenders.covariates)
    change = decoder.change(effects)
    if change is not None and spec.model.escape_prior:
        change = change * draw_acting(counts_key, model, particle, under).T[..., None]
    size = lenders.library_size.astype(jnp.float32)
    given = decoder.distribution(hidden, size, change)
    given = jax.tree.map(lambda of_genes: of_genes[..., genes], given)
    return decoder.sample(row_keys(counts_key, particle, numbers), given, genes)[0]
