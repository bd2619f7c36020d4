"""Train, validation and test split: 64 / 16 / 20 per cent of the cells (docs/method.md 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gpo_vae_jax.statistics.random_by_name import hash_names

_FEWEST_CONTROLS = 3  # that can be in all three parts
HELD_OUT = 0.2  # share for the test, then of the rest for validation


def split_by_name(names: Sequence[str] | np.ndarray, seed: int) -> np.ndarray:
    """Split by the rank of a hash of (seed, cell name), [N] str; the row order does not matter."""
    text = np.asarray(names, dtype=str)
    order = np.lexsort((text, hash_names(text, seed, "split")))
    n_test = math.ceil(HELD_OUT * len(names))
    n_val = math.ceil(HELD_OUT * (len(names) - n_test))
    split = np.full(len(names), "train", dtype="<U5")
    split[order[:n_test]] = "test"
    split[order[n_test : n_test + n_val]] = "val"
    return split


def split_by_row(n_cells: int) -> np.ndarray:
    """Split by row as published, [N] str: scikit-learn's train_test_split twice, random state 0."""
    from sklearn.model_selection import train_test_split

    rest, test = train_test_split(np.arange(n_cells), test_size=HELD_OUT, random_state=0)
    _, val = train_test_split(rest, test_size=HELD_OUT, random_state=0)
    split = np.full(n_cells, "train", dtype="<U5")
    split[test], split[val] = "test", "val"
    return split


def spread_controls(
    split: np.ndarray, names: np.ndarray, is_control: np.ndarray, seed: int
) -> np.ndarray:
    """Return the split with controls in all parts: split by themselves if a part has none, [N].

    Args:
      split: [N] as drawn for all cells.
      names: [N] cell names.
      is_control: [N] bool.
      seed: of the hash.
    """
    parts = set(split[is_control].tolist())
    if len(parts) == len(set(split.tolist())) or is_control.sum() < _FEWEST_CONTROLS:
        return split
    spread = split.copy()
    spread[is_control] = split_by_name(names[is_control], seed)
    return spread
