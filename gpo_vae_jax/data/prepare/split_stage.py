"""The split of the chosen cells, and what it leaves without training cells."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.dataset import SPLITS
from gpo_vae_jax.data.prepare import held_out, splits
from gpo_vae_jax.data.prepare.raw.perturbed_genes import Perturbations
from gpo_vae_jax.data.prepare.raw.raw_checks import Raw
from gpo_vae_jax.data.prepare.stage_log import Log
from gpo_vae_jax.errors import DataError, counted, listed


class SplitCells(NamedTuple):
    """The split of N chosen cells."""

    split: np.ndarray  # [N] text
    keep: np.ndarray  # [N] bool: the others perturb a gene without training cells


def split_cells(
    raw: Raw, rows: np.ndarray, names: np.ndarray, config: PrepareConfig, log: Log
) -> SplitCells:
    """Split the chosen cells: as the input has them, or anew.

    Every part needs control cells. A column of the input, and the rules of `held_out`, may keep
    whole perturbations out of the training cells. Where cells are split one by one, every perturbed
    gene needs training cells, of any perturbation that it is part of; if `config.min_cells` is not
    set, cells of other genes are left out.

    Args:
      raw: the checked input.
      rows: [N] the chosen rows of the input.
      names: [N] the names of these cells.
      config: how to split.
      log: records the stage.

    Raises:
      DataError: a part is empty or has no controls, training cells are all controls, or a gene has
        no training cells that was not meant to be held out; the message says what works.
    """
    log.start("split")
    cells, code = raw.cells, raw.cells.code[rows]
    keep = np.ones(len(rows), bool)
    if raw.split is not None:
        split, by = raw.split[rows], f"obs[{config.split_key!r}]"
        meant = {cells.genes[c] for c in np.setdiff1d(code, code[split == "train"])}
    else:
        split, by = _drawn(cells, rows, names, config)
        meant = set(_held_out(cells, code, config))
    _check_parts(split, cells.is_control[rows])
    if cells.is_control[rows][split == "train"].all():
        raise DataError(f"the split 'train' of {by} has only control cells")
    missing = _unseen(split, cells, code, meant)
    if missing and config.min_cells is not None:
        least = _least_min_cells(cells, rows, names, config)
        raise DataError(
            f"perturbations without training cells: {listed(missing)}; "
            + (
                f"config.prepare.min_cells={least} is the least that leaves them out"
                if least is not None
                else "there are too few cells for any config.prepare.min_cells"
            )
        )
    if missing:
        gone = np.array([bool(missing.intersection(group)) for group in cells.genes])
        keep = ~gone[code]
        log.dropped(keep, f"no training cells of {listed(missing, 5)}")
        _check_parts(split[keep], cells.is_control[rows][keep])
    absent = _absent(split[keep], cells, code[keep])
    genes = _unseen(split[keep], cells, code[keep])
    _note_absent(absent, genes, by if raw.split is not None else "", log)
    log.done(by=by, **{f"without_cells_in_{name}": absent[name] for name in absent})
    return SplitCells(split, keep)


def _drawn(
    cells: Perturbations, rows: np.ndarray, names: np.ndarray, config: PrepareConfig
) -> tuple[np.ndarray, str]:
    if config.split == "reference":
        return splits.split_by_row(len(rows))[np.argsort(np.argsort(rows))], "row order"
    drawn = splits.split_by_name(names, config.seed)
    spread = splits.spread_controls(drawn, names, cells.is_control[rows], config.seed)
    by = f"cell names{', controls by themselves' if (spread != drawn).any() else ''}"
    parts = _held_out(cells, cells.code[rows], config)
    if not parts:
        return spread, by
    part = np.array([parts.get(group, "") for group in cells.genes], dtype="<U5")[cells.code[rows]]
    return np.where(part == "", spread, part), f"{by}; {config.split}"


def _held_out(cells: Perturbations, code: np.ndarray, config: PrepareConfig) -> dict:
    """Return the part of every perturbation that a rule holds out whole."""
    if config.split not in held_out.RULES:
        return {}
    groups = [tuple(cells.genes[c]) for c in np.unique(code)]
    return held_out.held_out(groups, config.split, config.seed)


def _check_parts(split: np.ndarray, is_control: np.ndarray) -> None:
    for name in SPLITS:
        here = split == name
        if not here.any():
            raise DataError(f"the split {name!r} has no cells ({len(split)} in all)")
        if not (here & is_control).any():
            raise DataError(
                f"the split {name!r} has no control cells ({is_control.sum()} in all, at least 3 "
                "are needed)"
            )


def _unseen(
    split: np.ndarray,
    cells: Perturbations,
    code: np.ndarray,
    meant: Collection[tuple[str, ...]] = (),
) -> set[str]:
    """Return the perturbed genes without training cells, but for those of `meant` perturbations."""
    every = {gene for c in np.unique(code) for gene in cells.genes[c]}
    every -= {gene for group in meant for gene in group}
    seen = {gene for c in np.unique(code[split == "train"]) for gene in cells.genes[c]}
    return every - seen


def _absent(split: np.ndarray, cells: Perturbations, code: np.ndarray) -> dict[str, list[str]]:
    """Return the perturbations without cells in each part that lacks some."""
    absent = {
        name: ["+".join(cells.genes[c]) for c in np.setdiff1d(code, code[split == name])]
        for name in SPLITS
    }
    return {name: labels for name, labels in absent.items() if labels}


def _note_absent(
    absent: dict[str, list[str]], unseen: Collection[str], column: str, log: Log
) -> None:
    """Note which perturbations a part lacks; `column` is the one that splits, if one does."""
    for name, labels in absent.items():
        if name != "train":
            log.note(f"{counted(len(labels), 'perturbation')} without cells in {name!r}")
    if "train" not in absent:
        return
    labels = absent["train"]
    advice = f"; {column} says so, config.prepare.split_key= (empty) draws new splits"
    log.note(
        f"{counted(len(labels), 'perturbation')} without training cells: {listed(labels, 3)}; "
        f"evaluated apart; {counted(len(unseen), 'gene')} perturbed in no training cell"
        + (advice if column else "")
    )


def _least_min_cells(
    cells: Perturbations, rows: np.ndarray, names: np.ndarray, config: PrepareConfig
) -> int | None:
    """Return the least `min_cells` that leaves a gene without training cells out; None: none."""
    code = cells.code[rows]
    size = np.bincount(code, minlength=len(cells.genes))
    control = np.array([not group for group in cells.genes])
    least = config.min_cells or 0
    while True:
        keep = ((size > least) | control)[code]
        n_left = int((size[~control] > least).sum())
        if n_left < (held_out.FEWEST if config.split in held_out.RULES else 1):
            return None
        split, _ = _drawn(cells, rows[keep], names[keep], config)
        unseen = _unseen(split, cells, code[keep], _held_out(cells, code[keep], config))
        if not unseen:
            return least
        least = _smallest_with(unseen, cells, size, least)


def _smallest_with(
    unseen: Collection[str], cells: Perturbations, size: np.ndarray, least: int
) -> int:
    """Return the size of the smallest perturbation left that has an unseen gene."""
    of_unseen = np.array([bool(set(unseen).intersection(group)) for group in cells.genes])
    return int(size[of_unseen & (size > least)].min())
