"""Labels of cells: the genes that perturbations name, their dosage columns, and categories."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from gpo_vae_jax.data.gene_names import meant_gene
from gpo_vae_jax.errors import DataError, listed
from gpo_vae_jax.types import Conventions

_INSIDE_NAMES = ("_", "-", ".", ":")  # separators that also occur inside gene names


def perturbed_genes(label: str, control: str, separator: str) -> tuple[str, ...]:
    """Return the genes a label names, sorted; () for a control. "A+ctrl" perturbs A."""
    if label == control:
        return ()
    parts = label.split(separator) if separator else [label]
    return tuple(sorted({part.strip() for part in parts} - {control, ""}))


def cut_label(
    label: str, separator: str, known: Collection[str], longest: int | None = None
) -> tuple[str, ...]:
    """Split a label at the separators between names, not at those inside a name.

    Of all ways to split, the one that assigns most of the label to `known` names wins, then the one
    with the fewest pieces, then the first. A stretch without a known name is one name if the
    separator occurs inside gene names ("_", "-", "."), and split everywhere if not ("+", ",").

    Args:
      label: of a cell.
      separator: between names; empty: the label is one name.
      known: names that are never split.
      longest: the most separators inside a known name (`most_separators`); the work is
        proportional to it. Absent: as many as the label has.
    """
    parts = label.split(separator) if separator else [label]
    reach = len(parts) if longest is None else longest + 1
    alone = separator not in _INSIDE_NAMES  # whether parts without a known name are names each
    if reach == 1:
        return tuple(_runs(parts, separator, known, alone))
    score = [(0, 0)]  # of the first parts: (parts covered by known names, - pieces)
    start = [0]  # of the last piece
    unknown = (-1, 0), 0  # the best score of a way that ends in a stretch without a known name
    for end in range(1, len(parts) + 1):
        covered, pieces = score[-1]
        if alone or (covered, pieces - 1) > unknown[0]:
            unknown = (covered, pieces - 1), end - 1
        best = unknown
        for first in range(end - 1, max(0, end - reach) - 1, -1):
            if separator.join(parts[first:end]).strip() in known:
                value = score[first][0] + end - first, score[first][1] - 1
                if (value, -first) > (best[0], -best[1]):
                    best = value, first
        score.append(best[0])
        start.append(best[1])
    found, end = [], len(parts)
    while end:
        found.append(separator.join(parts[start[end] : end]).strip())
        end = start[end]
    return tuple(piece for piece in reversed(found) if piece)


def _runs(
    parts: Sequence[str], separator: str, known: Collection[str], alone: bool
) -> Iterator[str]:
    """Yield the names in a label whose known names do not contain the separator."""
    for is_known, run in itertools.groupby(parts, lambda part: part.strip() in known):
        pieces = list(run)
        pieces = pieces if is_known or alone else [separator.join(pieces)]
        yield from filter(None, (piece.strip() for piece in pieces))


def most_separators(separator: str, known: Iterable[str]) -> int:
    """Return the most separators inside one of the known names."""
    return max((name.count(separator) for name in known), default=0) if separator else 0


def group_by_label(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct labels, sorted, and the index of each cell's label among them, [N]."""
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    return names, codes.ravel()


def dosage_indices(
    codes: np.ndarray, genes_of_label: Sequence[Sequence[str]], treatments: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the perturbed dosage columns of each cell, [N, K] int32, and their dosage, [N, K].

    K is the largest number of perturbations of a cell, at least 1. Unused places are column 0 with
    dosage 0.

    Args:
      codes: [N] the label of each cell, as an index into `genes_of_label`.
      genes_of_label: the perturbed genes of each label.
      treatments: T names.

    Raises:
      DataError: a perturbed gene is not a treatment.
    """
    column = {name: i for i, name in enumerate(treatments)}
    unknown = {g for genes in genes_of_label for g in genes if g not in column}
    if unknown:
        raise DataError(
            f"cells carry perturbations without a dosage column: {listed(unknown)}; prepare the "
            "raw counts again (gpo-vae prepare)"
        )
    width = max([1, *(len(genes) for genes in genes_of_label)])
    index = np.zeros((len(genes_of_label), width), np.int32)
    dosage = np.zeros((len(genes_of_label), width), np.float32)
    for row, genes in enumerate(genes_of_label):
        index[row, : len(genes)] = [column[gene] for gene in genes]
        dosage[row, : len(genes)] = 1
    return index[codes], dosage[codes]


def labels_of(
    perturbation: np.ndarray,
    dosage: np.ndarray,
    treatments: Sequence[str],
    conventions: Conventions,
) -> np.ndarray:
    """Return the label of each cell, [N] text, built from its dosage columns, [N, K]."""
    columns = np.where(np.asarray(dosage) != 0, perturbation, -1)
    distinct, code = np.unique(columns, axis=0, return_inverse=True)
    names = [
        conventions.separator.join(sorted(treatments[i] for i in row if i >= 0))
        or conventions.control
        for row in distinct
    ]
    return np.array(names)[code.ravel()]


def genes_by_label(
    cell_labels: np.ndarray,
    perturbation: np.ndarray,
    dosage: np.ndarray,
    treatments: Sequence[str],
    conventions: Conventions,
) -> dict[str, tuple[str, ...]]:
    """Return the perturbed genes of each label, sorted: the treatments with dosage in its cells.

    Args:
      cell_labels: [N] the label of each cell.
      perturbation: [N, K] dosage columns.
      dosage: [N, K].
      treatments: T names.
      conventions: the label of the control.

    Raises:
      DataError: cells of one label have different perturbed genes, or the cells without dosage are
        not exactly those labelled `conventions.control`.
    """
    columns = np.sort(np.where(np.asarray(dosage) != 0, perturbation, -1), axis=1)
    names, code = group_by_label(cell_labels)
    found = np.unique(np.column_stack([code, columns]), axis=0)
    genes: dict[str, tuple[str, ...]] = {}
    for number, *of_label in found.tolist():
        name, named = str(names[number]), tuple(sorted(treatments[i] for i in of_label if i >= 0))
        if genes.setdefault(name, named) != named:
            raise DataError(
                f"cells labelled {name!r} have different dosages: {listed(genes[name]) or 'none'} "
                f"and {listed(named) or 'none'}; a label must stand for one set of perturbed genes"
            )
        if (name == conventions.control) != (not named):
            raise DataError(
                f"cells labelled {name!r} have {'a' if named else 'no'} dosage, but the control is "
                f"{conventions.control!r}: control cells, and only those, have no dosage "
                "(Conventions.control is their label)"
            )
    return genes


def indices_of_dense(dosage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert a dense dosage matrix, [N, T], to columns, [N, K] int32, and their dosage, [N, K]."""
    used = dosage != 0
    width = max(1, int(used.sum(axis=1).max(initial=0)))
    order = np.argsort(~used, axis=1, kind="stable")[:, :width]
    value = np.take_along_axis(np.asarray(dosage, np.float32), order, axis=1)
    return np.where(value != 0, order, 0).astype(np.int32), value


def without_treatments(
    perturbation: np.ndarray, dosage: np.ndarray, treatments: Sequence[str], masked: Iterable[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Set the dosage of the `masked` treatments to 0 (the unseen-perturbation ablation).

    Raises:
      DataError: a masked name is not a treatment.
    """
    for name in masked:
        if name not in treatments:
            raise DataError(
                f"config.data.mask_test: {name!r} is not a treatment; "
                f"{meant_gene(name, treatments)}"
            )
    hidden = np.isin(perturbation, [i for i, name in enumerate(treatments) if name in set(masked)])
    keep = (dosage != 0) & ~hidden
    return np.where(keep, perturbation, 0).astype(np.int32), np.where(keep, dosage, 0).astype(
        np.float32
    )


def category_codes(
    covariates: Mapping[str, np.ndarray], training: np.ndarray, n_cells: int
) -> tuple[dict[str, tuple[str, ...]], np.ndarray | None]:
    """Return the categories of each covariate, sorted, and the rows of each cell, [N, K] int32.

    Args:
      covariates: by name, the category of each cell, [N] text.
      training: rows of the training cells. Categories that none of them has get -1.
      n_cells: N.

    Raises:
      DataError: a covariate does not have N values.
    """
    categories, columns, start = {}, [], 0
    for name, values in covariates.items():
        text = np.asarray(values, dtype=str)
        if text.shape != (n_cells,):
            raise DataError(f"the covariate {name!r} has shape {text.shape}; expected ({n_cells},)")
        known = np.unique(text[training])
        at = np.minimum(np.searchsorted(known, text), len(known) - 1)
        columns.append(np.where(known[at] == text, start + at, -1))
        categories[name] = tuple(known.tolist())
        start += len(known)
    if not columns:
        return {}, None
    return categories, np.stack(columns, axis=1).astype(np.int32)
