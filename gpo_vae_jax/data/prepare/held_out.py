"""Which perturbations a split holds out whole: in no training cell (docs/data.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from gpo_vae_jax.data.prepare.splits import HELD_OUT
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.statistics.random_by_name import hash_names

RULES = ("by_perturbation", "by_combination", "gears")
FEWEST = 3  # perturbations that can be in all three parts
_GEARS = (0.75, 0.9)  # share that is trained on: of everything, then of what is not in the test

Genes = tuple[str, ...]


def held_out(groups: Sequence[Genes], rule: str, seed: int) -> dict[Genes, str]:
    """Return the perturbations that are held out whole, and in which part: "val" or "test".

    What is held out depends on the names and the seed, not on the order. All other perturbations
    are split by cell.

    Args:
      groups: the perturbed genes of each perturbation, () for the control.
      rule: "by_perturbation" holds out 20 % of the perturbations, single and combined, for the test
        and 20 % of the rest for validation. "by_combination" holds out the same shares of the
        combinations, and keeps every gene in training. "gears" follows the simulation split of
        GEARS: 75 % of the genes are trained on; perturbations of the others are for the test, and
        so is a quarter of the combinations of genes that are trained on; then the same within the
        rest, with 90 %, for validation.
      seed: of the draw.

    Raises:
      DataError: there are fewer than three perturbations (combinations) to choose from.
    """
    perturbed = sorted(group for group in set(groups) if group)
    if rule == "by_combination":
        pairs = [group for group in perturbed if len(group) > 1]
        _check_number(pairs, "combinations", rule)
        return _shares(_with_genes_left(perturbed, seed), len(pairs))
    _check_number(perturbed, "perturbations", rule)
    if rule == "by_perturbation":
        return _shares(_by_hash(perturbed, seed, "held out"), len(perturbed))
    tested = _gears(perturbed, _GEARS[0], seed, "test")
    rest = [group for group in perturbed if group not in set(tested)]
    chosen = _gears(rest, _GEARS[1], seed, "val")
    return {**dict.fromkeys(tested, "test"), **dict.fromkeys(chosen, "val")}


def _check_number(found: Sequence[Genes], what: str, rule: str) -> None:
    if len(found) < FEWEST:
        raise DataError(
            f"config.prepare.split={rule} holds out whole {what}, and there are {len(found)}; it "
            f"needs {FEWEST} or more; config.prepare.split=by_name splits by cell"
        )


def _shares(ordered: Sequence[Genes], n: int) -> dict[Genes, str]:
    """Return the first 20 % of n as test, and 20 % of what is left as validation."""
    n_test = math.ceil(HELD_OUT * n)
    n_val = math.ceil(HELD_OUT * (n - n_test))
    parts = ["test"] * n_test + ["val"] * n_val
    return dict(zip(ordered, parts, strict=False))


def _by_hash(groups: Iterable[Genes], seed: int, what: str) -> list[Genes]:
    groups = list(groups)
    if not groups:
        return []
    names = np.array(["+".join(group) for group in groups])
    order = np.lexsort((names, hash_names(names, seed, what)))
    return [groups[i] for i in order]


def _with_genes_left(perturbed: Sequence[Genes], seed: int) -> list[Genes]:
    """Return combinations whose genes other perturbations still have, by hash."""
    left: dict[str, int] = {}
    for group in perturbed:
        for gene in group:
            left[gene] = left.get(gene, 0) + 1
    chosen = []
    for group in _by_hash((group for group in perturbed if len(group) > 1), seed, "held out"):
        if all(left[gene] > 1 for gene in group):
            chosen.append(group)
            for gene in group:
                left[gene] -= 1
    return chosen


def _gears(perturbed: Sequence[Genes], share: float, seed: int, what: str) -> list[Genes]:
    """Return what the simulation split of GEARS holds out of some perturbations."""
    genes = sorted({gene for group in perturbed for gene in group})
    ordered = _by_hash([(gene,) for gene in genes], seed, f"genes {what}")
    trained = {gene for (gene,) in ordered[: int(share * len(genes))]}
    unseen = [group for group in perturbed if not trained.issuperset(group)]
    pairs = [group for group in perturbed if len(group) > 1 and trained.issuperset(group)]
    ordered = _by_hash(pairs, seed, f"combinations {what}")
    return unseen + ordered[int(share * len(pairs)) :]
