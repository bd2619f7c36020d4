"""A matched control for every cell (docs/method.md 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from gpo_vae_jax.data.prepare.matching.distances import euclidean, first_of_largest
from gpo_vae_jax.data.prepare.matching.transport import transport_match
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.memory import items_within, pieces
from gpo_vae_jax.statistics.two_sample import two_sample_tables

METHODS = ("ot", "hpm", "wd", "wd_nearest")
_CHUNK_VALUES = 1 << 16  # weighted distances at a time: they stay in the cache
_NO_DISTANCE = 1e-12  # a smaller Wasserstein distance is rounding
_TIE = 1e-12  # of a distance

Match = Callable[[np.ndarray, np.ndarray], np.ndarray]


def match_controls(
    expression: np.ndarray,
    group: np.ndarray,
    split: np.ndarray,
    is_control: np.ndarray,
    method: str | Match = "ot",
    batch: np.ndarray | None = None,
) -> np.ndarray:
    """Return the row of each cell's matched control, [N].

    Cells are matched group by group within their split; the controls are a group too.

    Args:
      expression: [N, R] log-normalised perturbed genes; a gene with a nan is ignored.
      group: [N] integers, one per perturbation.
      split: [N].
      is_control: [N] bool.
      method: "ot" (transport_match), "hpm" (assignment_match), "wd" or "wd_nearest"
        (weighted_match with the group's Wasserstein distances), or a function of
        (cells [n, R], controls [m, R]) that returns [n] rows of controls.
      batch: [N] text; cells are matched within their batch where it has controls in the split.

    Raises:
      DataError: the method is unknown, or a split has no controls.
    """
    if isinstance(method, str) and method not in METHODS:
        raise DataError(f"matching={method!r} is not possible; there are: {', '.join(METHODS)}")
    expression = expression[:, ~np.isnan(expression).any(axis=0)]
    matched = np.full(len(group), -1, np.int64)
    for name in np.unique(split):
        here = np.flatnonzero(split == name)
        controls = here[is_control[here]]
        if not len(controls):
            raise DataError(f"the split {str(name)!r} has no control cells to match")
        codes, number = np.unique(group[here], return_inverse=True)
        weights = np.zeros((len(codes), expression.shape[1]))
        if method in ("wd", "wd_nearest"):
            weights = two_sample_tables(
                expression[here],
                is_control[here],
                number.reshape(-1, 1),
                np.ones((len(here), 1)),
                len(codes),
            ).wasserstein
        for i, members, among in _parts(here, number, controls, batch):
            pair = expression[members], expression[among]
            if method == "ot":
                found = transport_match(*pair)
            elif method == "hpm":
                found = assignment_match(*pair)
            elif method in ("wd", "wd_nearest"):
                found = weighted_match(*pair, weights[i], farthest=method == "wd")
            else:
                found = method(*pair)
            matched[members] = among[found]
    return matched


def _parts(
    here: np.ndarray, number: np.ndarray, controls: np.ndarray, batch: np.ndarray | None
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each group's number, its cells (by batch, if there are any), and their controls."""
    for i in range(number.max(initial=-1) + 1):
        members = here[number == i]
        if batch is None:
            yield i, members, controls
            continue
        for name in np.unique(batch[members]):
            among = controls[batch[controls] == name]
            yield i, members[batch[members] == name], among if len(among) else controls


def assignment_match(cells: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Match cells [n, R] one to one to controls [m, R] at the least total Euclidean distance, [n].

    If there are more cells than controls, the remaining cells get their nearest control, the first
    of equally near ones.
    """
    distance = euclidean(cells, controls)
    assigned, found = linear_sum_assignment(distance)
    if len(assigned) == len(cells):
        return found
    nearest = first_of_largest(-distance, _TIE * distance.max(initial=0))
    nearest[assigned] = found
    return nearest


def weighted_match(
    cells: np.ndarray, controls: np.ndarray, weights: np.ndarray, *, farthest: bool
) -> np.ndarray:
    """Match cells [n, R] to controls [m, R] by the distance sum_g weights_g |x_g - c_g|, [n].

    A cell gets its nearest control, or with `farthest` (the published choice) its farthest; the
    first of equals.

    Args:
      cells: [n, R].
      controls: [m, R].
      weights: [R] Wasserstein distances of the group from the controls.
      farthest: which end of the distances to take.
    """
    used = weights > _NO_DISTANCE
    cells = cells[:, used] * weights[used]
    controls = np.ascontiguousarray((controls[:, used] * weights[used]).T)
    found = np.zeros(len(cells), np.int64)
    for rows in pieces(len(cells), items_within(_CHUNK_VALUES, controls.shape[1])):
        part = cells[rows]
        total = np.zeros((len(part), controls.shape[1]))
        difference = np.empty_like(total)
        for gene in range(len(controls)):
            np.subtract(part[:, gene, None], controls[gene], out=difference)
            np.abs(difference, out=difference)
            total += difference
        choose = np.argmax if farthest else np.argmin
        found[rows] = choose(total, axis=1)
    return found


def delta_expression(expression: np.ndarray, matched: np.ndarray) -> np.ndarray:
    """Return |log expression of the cell - of its matched control|, [N, T] float32; 0 for nan."""
    return np.nan_to_num(np.abs(expression - expression[matched])).astype(np.float32)
