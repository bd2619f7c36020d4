"""Arrays in, Dataset out: every Dataset is built here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpo_vae_jax.config import DataConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data import labels
from gpo_vae_jax.data.input_statistics import input_statistics
from gpo_vae_jax.data.prepared.store.stored_rows import StoredRows, chosen
from gpo_vae_jax.errors import DataError, listed
from gpo_vae_jax.memory import DENSE_GIB, items_within, numbers_within, pieces
from gpo_vae_jax.statistics.two_sample import two_sample_tables
from gpo_vae_jax.types import Batch, Context, Conventions, Dataset, InputStatistics, Split

SPLITS = ("train", "val", "test")
_DEFAULT = DataConfig()
_CONVENTIONS = Conventions()
_TABLE_VALUES = numbers_within(DENSE_GIB, 8)


class Summary(NamedTuple):
    """What is computed from all cells, where it is known beforehand."""

    library: np.ndarray  # [N] float64 library sizes
    statistics: InputStatistics | None = None
    tables: Mapping[str, np.ndarray] | None = None  # Wasserstein distances of "train" and "test"


def from_arrays(
    *,
    counts: count_matrix.CountMatrix,
    dosage: np.ndarray | tuple[np.ndarray, np.ndarray],
    qc_fail: np.ndarray,
    counterfactual: count_matrix.CountMatrix,
    delta: np.ndarray,
    split: np.ndarray,
    treatments: Sequence[str],
    n_perturbed: int,
    genes: Sequence[str],
    cells: Sequence[str] | np.ndarray | None = None,
    controls: np.ndarray | None = None,
    cell_labels: np.ndarray | None = None,
    conventions: Conventions = _CONVENTIONS,
    true_network: np.ndarray | None = None,
    true_effects: Mapping[str, np.ndarray] | None = None,
    covariates: Mapping[str, np.ndarray] | None = None,
    config: DataConfig = _DEFAULT,
    summary: Summary | None = None,
) -> Dataset:
    """Build a Dataset from the arrays of all N cells (docs/method.md 1).

    Args:
      counts: [N, G] raw counts, dense, sparse, or on disk: then the cells stay there.
      dosage: [N, T], dense; or the pair (columns [N, K], dosage [N, K]) of types.Batch.
      qc_fail: [N] or [N, Q], 1 = failed quality control.
      counterfactual: [N, G] counts of the same perturbation at failed quality, dense or sparse.
      delta: [N, T], |log expression of the cell - of its matched control|; nan counts as 0.
      split: [N], "train", "val" or "test".
      treatments: T names, the perturbed genes first.
      n_perturbed: R.
      genes: G names.
      cells: N names. Absent: row numbers.
      controls: [N] bool, the control cells. Absent: those without dosage.
      cell_labels: [N] the perturbation of each cell, under any name: the genes of a label are the
        treatments with dosage in its cells. Absent: built from the dosage.
      conventions: the control label, other names of genes, quality thresholds.
      true_network: [T, T] signed network of simulated data.
      true_effects: the true latent effect of each label of simulated data.
      covariates: by name, the category of each cell, [N] text; those that no training cell has are
        taken for unknown.
      config: only `mask_test` is used: treatments whose dosage is set to 0.
      summary: what is known of these cells, and is not computed again.

    Raises:
      DataError: shapes do not fit, values are not counts, a split is empty, cells of one label have
        different dosages, or `mask_test` has an unknown name.
    """
    treatments, genes = tuple(map(str, treatments)), tuple(map(str, genes))
    n, t = counts.shape[0], len(treatments)
    perturbation, amount = dosage if isinstance(dosage, tuple) else _from_dense(dosage, n, t)
    qc_fail = np.asarray(qc_fail, np.float32).reshape(n, -1) if np.size(qc_fail) else qc_fail
    names = np.asarray([str(i) for i in range(n)] if cells is None else cells, dtype=str)
    split = np.asarray(split).astype(str)
    _check_shapes(
        counts=(counts, (n, len(genes))),
        dosage=(amount, (n, None)),
        qc_fail=(qc_fail, (n, None)),
        counterfactual=(counterfactual, (n, len(genes))),
        delta=(delta, (n, t)),
        split=(split, (n,)),
        cells=(names, (n,)),
    )
    _check_values(split, qc_fail, treatments, n_perturbed)
    _check_dosage(perturbation, amount, treatments, n_perturbed)
    if controls is None:
        controls = ~(amount != 0).any(axis=1)
    if cell_labels is None:
        cell_labels = labels.labels_of(perturbation, amount, treatments, conventions)
    cell_labels = np.asarray(cell_labels, dtype=str)
    _check_shapes(cell_labels=(cell_labels, (n,)))
    label_genes = labels.genes_by_label(cell_labels, perturbation, amount, treatments, conventions)
    for label in true_effects or {}:  # some may have no cells
        named = labels.perturbed_genes(label, conventions.control, conventions.separator)
        if set(named) <= set(treatments):
            label_genes.setdefault(label, named)
    counts = count_matrix.narrow(counts, "counts")
    summary = Summary(count_matrix.library_size(counts)) if summary is None else summary
    library = summary.library
    counterfactual = count_matrix.narrow(counterfactual, "counterfactual")
    rows = {name: np.flatnonzero(split == name) for name in SPLITS}
    categories, category = labels.category_codes(covariates or {}, rows["train"], n)
    factor = count_matrix.normalisation(library)
    columns = count_matrix.gene_columns(treatments, genes)
    if (columns < 0).all():
        raise DataError(
            f"none of the {t} treatments is a measured gene, so the network has nothing to align "
            f"with: treatments {listed(treatments, 5)}; genes {listed(genes, 5)}"
        )
    tables = summary.tables or {
        name: _table(
            counts, factor, columns, controls, perturbation, amount, rows[name], n_perturbed
        )
        for name in ("train", "test")
    }
    perturbation, amount = labels.without_treatments(
        perturbation, amount, treatments, config.mask_test
    )
    statistics = summary.statistics or input_statistics(chosen(counts, rows["train"]))
    if not isinstance(delta, StoredRows):
        delta = np.nan_to_num(np.asarray(delta, np.float32), nan=0.0)
    splits = {}
    for name in SPLITS:
        at = rows[name]
        batch = Batch(
            counts=chosen(counts, at),
            library_size=library[at].astype(np.float32),
            perturbation=perturbation[at].astype(np.int32),
            dosage=amount[at].astype(np.float32),
            qc_fail=qc_fail[at],
            counterfactual=chosen(counterfactual, at),
            delta=chosen(delta, at),
            weight=np.ones(len(at), np.float32),
            covariates=None if category is None else category[at],
        )
        context = _context(batch, statistics, columns >= 0, n_training=len(rows["train"]))
        splits[name] = Split(batch, context)
    return Dataset(
        splits=splits,
        cells={name: names[rows[name]] for name in SPLITS},
        treatments=treatments,
        n_perturbed=int(n_perturbed),
        genes=genes,
        tables=tables,
        labels={name: cell_labels[rows[name]] for name in SPLITS},
        label_genes=label_genes,
        conventions=conventions,
        true_network=true_network,
        true_effects=true_effects,
        covariates=categories,
    )


def _from_dense(dosage: np.ndarray, n: int, t: int) -> tuple[np.ndarray, np.ndarray]:
    dosage = np.asarray(dosage)
    _check_shapes(dosage=(dosage, (n, t)))
    return labels.indices_of_dense(dosage)


def _check_shapes(**arrays: tuple[Any, tuple[int | None, ...]]) -> None:
    for name, (array, expected) in arrays.items():
        shape = tuple(np.shape(array)) if not hasattr(array, "shape") else tuple(array.shape)
        fits = len(shape) == len(expected) and all(
            want is None or have == want for have, want in zip(shape, expected, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if want is None else str(want) for want in expected)
            raise DataError(f"{name} has shape {shape}; expected ({wanted})")


def _check_values(
    split: np.ndarray, qc_fail: np.ndarray, treatments: Sequence[str], n_perturbed: int
) -> None:
    unknown = sorted(set(split) - set(SPLITS))
    if unknown:
        raise DataError(
            f"split has the values {listed(unknown)}; each cell must be in 'train', 'val' or 'test'"
        )
    for name in SPLITS:
        if not (split == name).any():
            raise DataError(f"the split {name!r} has no cells")
    if not np.isin(qc_fail, (0, 1)).all():
        raise DataError("qc_fail must hold 0 (passed) and 1 (failed) only")
    if len(set(treatments)) < len(treatments):
        raise DataError("treatment names (dosage columns) are not unique")
    if not 1 <= n_perturbed <= len(treatments):
        raise DataError(f"n_perturbed is {n_perturbed}; there are {len(treatments)} treatments")


def _check_dosage(
    perturbation: np.ndarray, dosage: np.ndarray, treatments: Sequence[str], n_perturbed: int
) -> None:
    used = np.asarray(perturbation)[np.asarray(dosage) != 0]
    beyond = np.unique(used[(used < 0) | (used >= n_perturbed)])
    if len(beyond):
        name = treatments[beyond[0]] if 0 <= beyond[0] < len(treatments) else beyond[0]
        raise DataError(
            f"cells have a dosage of treatment {name!r} (column {beyond[0]}), but n_perturbed is "
            f"{n_perturbed}: the perturbed treatments must be the first columns"
        )
    ordered = np.sort(np.where(np.asarray(dosage) != 0, perturbation, -1), axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        raise DataError(f"cell {int(np.argmax(twice.any(axis=1)))} has one treatment twice")


def _table(
    counts: np.ndarray,
    factor: np.ndarray,
    columns: np.ndarray,
    controls: np.ndarray,
    perturbation: np.ndarray,
    dosage: np.ndarray,
    rows: np.ndarray,
    n_perturbed: int,
) -> np.ndarray:
    """Return the Wasserstein distances of perturbed from control cells, [R, T] float32."""
    parts = []
    for part in pieces(len(columns), items_within(_TABLE_VALUES, len(rows))):
        which = columns[part]
        values = counts[np.ix_(rows, np.maximum(which, 0))]
        expression = count_matrix.log_normalised(values, factor[rows]).astype(np.float32)
        expression[:, which < 0] = np.nan
        parts.append(
            two_sample_tables(
                expression, controls[rows], perturbation[rows], dosage[rows], n_perturbed
            ).wasserstein
        )
    return np.concatenate(parts, axis=1).astype(np.float32)


def _context(
    batch: Batch, statistics: InputStatistics, measured: np.ndarray, *, n_training: int
) -> Context:
    used = batch.perturbation[batch.dosage != 0]
    return Context(
        statistics=statistics,
        treatment_cells=np.bincount(used, minlength=len(measured)).astype(np.float32),
        quality_cells=np.asarray((batch.qc_fail != 0).sum(axis=0), np.float32),
        measured=measured.astype(np.float32),
        training_cells=np.asarray(n_training, np.float32),
    )


def truth_among(treatments: Sequence[str], truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the true network in the order of the treatments, [T, T]; 0 for other genes.

    What reaches a treatment only through genes that are no treatments is direct among the
    treatments: no data of theirs can tell the difference. Such an edge has the weight of its
    shortest paths.
    """
    names = [str(name) for name in truth["names"]]
    weights = np.asarray(truth["weights"], np.float32)
    if "through_hidden" in truth:
        off_diagonal = ~np.eye(len(weights), dtype=bool)
        weights = np.where((weights == 0) & off_diagonal, truth["through_hidden"], weights)
    if "followers" in truth:
        names += [str(name) for name in truth["followers"]]
        weights = np.pad(weights, (0, len(names) - len(weights)))
        n_followers = len(truth["followers"])
        weights[: len(names) - n_followers, len(names) - n_followers :] = truth["follows"]
    at = count_matrix.gene_columns(treatments, names)
    there = np.flatnonzero(at >= 0)
    hidden = np.setdiff1d(np.arange(len(names)), at)
    hidden = hidden[weights[hidden].any(axis=1)]  # others pass nothing on
    among = weights[np.ix_(at[there], at[there])]
    reached = weights[np.ix_(at[there], hidden)]
    other = ~np.eye(len(there), dtype=bool)
    for _ in hidden:
        through = reached @ weights[np.ix_(hidden, at[there])]
        among = np.where((among == 0) & other, through, among)
        reached = reached @ weights[np.ix_(hidden, hidden)]
    network = np.zeros((len(treatments), len(treatments)), np.float32)
    network[np.ix_(there, there)] = among
    return network
