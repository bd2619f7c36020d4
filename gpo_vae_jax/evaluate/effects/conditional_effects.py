"""Effects that a model predicts from observed training cells (docs/method.md 8.2).

Three predictions of one model, which differ in what they take from the perturbation's own cells:

- `network`: nothing. z, library size and quality are those of control cells, decoded under the
  perturbation. The network makes all of the effect.
- `network_depth`: the distribution of their library sizes. z and quality are those of control cells
  of such library sizes.
- `own_cells`: z, library size and quality. z may carry effect, so this is no evidence for the
  network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.evaluate.effects.observed_effects import (
    TRANSFORMS,
    conditions_of_labels,
    label_numbers,
)
from gpo_vae_jax.memory import items_within, numbers_within
from gpo_vae_jax.model.cell_effects import numbers_of_network
from gpo_vae_jax.predict.conditions import Conditions, cut, with_control
from gpo_vae_jax.predict.expected_profiles import lent_profiles, own_profiles
from gpo_vae_jax.progress import bar as progress_bar
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.statistics.random_by_name import hash_names
from gpo_vae_jax.types import Batch, Dataset, Params

CONDITIONAL = ("network", "network_depth", "own_cells")
PARTICLES = 4  # samples of the network for every cell
_COPIES = 8  # arrays of the size of the profiles that are alive at a time
_MOST = 256  # cells at a time

ByTransform = dict[str, np.ndarray]


class ConditionalEffects(NamedTuple):
    """Predicted effects, and the Monte-Carlo error that is left in them."""

    effects: dict[str, ByTransform]  # by prediction, then transform: [C, G]
    errors: dict[str, ByTransform]  # standard errors, likewise


def conditional_effects(
    params: Params,
    dataset: Dataset,
    labels: Sequence[str],
    *,
    spec: Spec,
    n_cells: int = 1000,
    seed: int = 0,
    memory_gib: float = 2.0,
    progress: bool = False,
) -> ConditionalEffects:
    """Return the three predictions of the effect of every label, and their standard errors.

    Args:
      params: of the model.
      dataset: the data that it was trained on; only its training cells are used.
      labels: C perturbations.
      spec: sizes and settings of the model.
      n_cells: most control cells that lend z, and most cells of each label that predict their own.
      seed: of all draws.
      memory_gib: of one chunk of the work.
      progress: whether a bar is shown on standard error.

    Returns:
      Effects of labels without training cells are nan in `network_depth` and `own_cells`, and all
      are without control cells.
    """
    spec, split = spec.of_model, dataset.splits["train"]
    names = [*labels, dataset.conventions.control]
    group = label_numbers(dataset.labels["train"], names)
    hashes = hash_names(dataset.cells["train"], seed, "lenders")  # whatever the order of cells
    order = np.argsort(hashes, kind="stable")
    members = [order[group[order] == g] for g in range(len(names))]
    number = (hashes >> np.uint64(32)).astype(np.uint32)
    work = _Work(params, split.context.statistics, split.cells, number, seed, memory_gib, spec)
    lenders = members[-1][:n_cells]
    chosen = [rows[:n_cells] for rows in members]
    n_steps = len(lenders) * len(labels) + sum(map(len, chosen))
    with progress_bar(n_steps, "profile", label="effects", shown=progress) as bar:
        found = {"own_cells": _own_cells(work, chosen, bar)}
        conditions = conditions_of_labels(dataset, labels)
        weights = _even_weights(lenders, len(names))
        if len(lenders):
            size = np.asarray(split.cells.library_size)
            weights = np.stack([weights, _depth_weights(size, lenders, members)])
            effects, errors = _lent_effects(work, conditions, lenders, weights, bar)
        else:
            effects = errors = np.full((2, *found["own_cells"][0].shape), np.nan)
        for i, name in enumerate(("network", "network_depth")):
            found[name] = effects[i], errors[i]
    return ConditionalEffects(
        {name: _by_transform(found[name][0]) for name in CONDITIONAL},
        {name: _by_transform(found[name][1]) for name in CONDITIONAL},
    )


class _Work(NamedTuple):
    params: Params
    statistics: object
    cells: Batch
    number: np.ndarray  # [N] uint32, the address of each cell's noise
    seed: int
    memory_gib: float
    spec: Spec

    def taken(self, rows: np.ndarray) -> Batch:
        """Return some cells."""
        return jax.tree.map(lambda values: jnp.asarray(np.asarray(values)[rows]), self.cells)

    def step(self, n_conditions: int) -> int:
        """Return how many cells are decoded at a time under so many conditions each."""
        s = self.spec.sizes
        shared = PARTICLES * numbers_of_network(s.n_perturbed, self.spec)
        each = _COPIES * PARTICLES * n_conditions * s.n_genes
        most = items_within(max(1, numbers_within(self.memory_gib) - shared), each)
        return 1 << (min(_MOST, most).bit_length() - 1)


def _own_cells(work: _Work, chosen: list[np.ndarray], bar) -> tuple[np.ndarray, np.ndarray]:
    """Decode cells of every label as they are: effects and errors, [2, C, G]."""
    n_groups, n_genes = len(chosen), work.spec.sizes.n_genes
    sums = np.zeros((len(TRANSFORMS), PARTICLES, n_groups, n_genes))
    rows = np.concatenate(chosen)
    number = np.repeat(np.arange(n_groups), list(map(len, chosen)))
    particles, step = jnp.arange(PARTICLES), work.step(1)
    for start in range(0, len(rows), step):
        at = np.minimum(np.arange(start, start + step), len(rows) - 1)
        cells, numbers = work.taken(rows[at]), jnp.asarray(work.number[rows[at]])
        profiles = own_profiles(
            work.params, work.statistics, cells, numbers, particles, work.seed, spec=work.spec
        )
        new = min(step, len(rows) - start)
        values = np.asarray(profiles, np.float64)[:, :, :new]
        member = number[at[:new]][None] == np.arange(n_groups)[:, None]
        sums += np.einsum("cb,tpbg->tpcg", member.astype(np.float64), values, optimize=True)
        bar.update(new)
    n = np.array([len(rows) for rows in chosen], np.float64)[:, None]
    mean = np.divide(sums, n, out=np.full(sums.shape, np.nan), where=n > 0)
    effects = mean[:, :, :-1] - mean[:, :, -1:]
    return effects.mean(1), effects.std(1, ddof=1) / np.sqrt(PARTICLES)


def _lent_effects(
    work: _Work,
    conditions: Conditions,
    lenders: np.ndarray,
    weights: np.ndarray,
    bar,
) -> tuple[np.ndarray, np.ndarray]:
    """Decode control cells under every condition, once: effects and errors, [W, 2, C, G].

    Args:
      work: what is decoded, and how.
      conditions: C perturbations.
      lenders: rows of control cells.
      weights: W times [lenders, C + 1] of each lender under each condition, the control last;
        columns sum to 1.
      bar: of the progress.
    """
    n_conditions, n_genes = len(conditions.number), work.spec.sizes.n_genes
    sums = np.zeros((len(weights), len(TRANSFORMS), PARTICLES, n_conditions, n_genes))
    width = n_conditions
    while width > 1 and work.step(width + 1) < 8:  # few cells at a time waste the encoder
        width = -(-width // 2)
    step, particles = work.step(width + 1), jnp.arange(PARTICLES)
    for part, which in cut(conditions, width):
        new = int((which == np.arange(which[0], which[0] + len(which))).sum())
        of_part = np.append(which, n_conditions)
        for start in range(0, len(lenders), step):
            at = np.minimum(np.arange(start, start + step), len(lenders) - 1)
            there = (np.arange(start, start + step) < len(lenders))[:, None]
            counted = weights[:, at][:, :, of_part] * there
            rows = lenders[at]
            profiles = lent_profiles(
                work.params, work.statistics, work.taken(rows), jnp.asarray(work.number[rows]),
                with_control(part), jnp.asarray(counted, jnp.float32), particles, work.seed,
                spec=work.spec,
            )  # fmt: skip
            values = np.asarray(profiles, np.float64)
            change = values[..., :-1, :] - values[..., -1:, :]
            sums[..., which[0] : which[0] + new, :] += change[..., :new, :]
            bar.update(min(step, len(lenders) - start) * new)
    for of, weight in zip(sums, weights, strict=True):
        of[:, :, np.isnan(weight[:, :-1]).any(axis=0)] = np.nan
    return sums.mean(2), sums.std(2, ddof=1) / np.sqrt(PARTICLES)


def _even_weights(lenders: np.ndarray, n_groups: int) -> np.ndarray:
    return np.full((len(lenders), n_groups), 1 / max(len(lenders), 1))


def _depth_weights(
    library_size: np.ndarray, lenders: np.ndarray, members: list[np.ndarray]
) -> np.ndarray:
    """Weight lenders so that their library sizes are distributed like those of each group.

    Every cell of the group counts for the lender of nearest library size. z knows the depth of its
    cell, so each z keeps the library size that it came with.

    Returns:
      [lenders, groups]; the control's are even, and those of a group without cells are nan.
    """
    size = np.log(np.maximum(library_size, 1))
    order = np.argsort(size[lenders], kind="stable")
    middles = (size[lenders][order][1:] + size[lenders][order][:-1]) / 2
    weights = _even_weights(lenders, len(members))
    for group, rows in enumerate(members[:-1]):
        near = order[np.searchsorted(middles, size[rows])]
        number = np.bincount(near, minlength=len(lenders))
        weights[:, group] = number / len(rows) if len(rows) else np.nan
    return weights


def _by_transform(values: np.ndarray) -> ByTransform:
    return {name: values[i] for i, name in enumerate(TRANSFORMS)}
