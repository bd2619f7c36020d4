"""The annotation of the cells of a prepared AnnData: each field checked, and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data import labels
from gpo_vae_jax.data.prepared.preparation_record import (
    ADVICE,
    RECORD,
    PreparationRecord,
    require,
)
from gpo_vae_jax.data.prepared.store.elements import Elements
from gpo_vae_jax.errors import DataError, listed

Cells = anndata.AnnData | Elements


class Perturbed(NamedTuple):
    """What is perturbed in each of N cells."""

    codes: np.ndarray  # [N] index into `genes`
    genes: list[tuple[str, ...]]  # the genes of each label, sorted; () is the control

    @property
    def is_control(self) -> np.ndarray:
        """Return which cells are controls, [N] bool."""
        return np.array([not genes for genes in self.genes])[self.codes]


def check_names(adata: Cells, record: PreparationRecord) -> None:
    """Check the names of cells and genes, and that genes are still called as when prepared.

    Raises:
      DataError: names are missing or not unique, or a treatment that was measured is no var name.
    """
    for what, names in (("obs", adata.obs_names), ("var", adata.var_names)):
        thing = "cell" if what == "obs" else "gene"
        empty = names.isna() | (names.astype(str).str.strip() == "")
        if empty.any():
            raise DataError(f"{int(empty.sum())} {thing} names ({what} index) are empty")
        if not names.is_unique:
            example = names[names.duplicated()][0]
            raise DataError(f"{thing} names ({what} index) are not unique, such as {example!r}")
    genes, stated = set(adata.var_names), record.unmeasured or ()
    renamed = [name for name in record.treatments if name not in genes and name not in stated]
    if renamed and record.unmeasured is not None:
        raise DataError(
            f"{len(renamed)} of the {len(record.treatments)} network genes "
            f"(uns[{RECORD!r}]['dosage_names']) are not var names: {listed(renamed, 5)}; genes "
            f"were renamed or removed after the preparation (var has {listed(genes, 3)}); name "
            "them before preparing, or restore the var names"
        )
    found = genes & set(stated)
    if found:
        raise DataError(
            f"uns[{RECORD!r}]['unmeasured'] names {listed(found, 5)}, but var has genes of these "
            f"names: genes were renamed or added after the preparation; {ADVICE}"
        )


def matrix_at(adata: Cells, where: str) -> count_matrix.CountMatrix:
    """Return X or the counterfactual layer, after checks of its type and shape, not its values.

    Args:
      adata: N cells, G genes.
      where: "X", or the name of a layer.

    Raises:
      DataError: it is missing, its parts cannot be read, or it has another shape.
    """
    field = field_of(where)
    try:
        matrix: Any = adata.X if where == "X" else adata.layers[where]
        shape, dtype = tuple(matrix.shape), np.dtype(matrix.dtype)
    except Exception as error:  # h5py and anndata raise many kinds for parts that are missing
        raise DataError(f"{field} is missing or cannot be read as a matrix; {ADVICE}") from error
    if shape != adata.shape:
        raise DataError(f"{field} has shape {shape}; expected {adata.shape}, cells x genes")
    if dtype.kind == "b":
        raise DataError(f"{field} has bool values, not counts; {ADVICE}")
    return matrix


def narrow_matrix(adata: Cells, where: str) -> np.ndarray:
    """Return X or a layer as `counts.narrow` does (raises DataError, naming it)."""
    return count_matrix.narrow(matrix_at(adata, where), field_of(where))


def read_perturbed(adata: Cells, record: PreparationRecord) -> Perturbed:
    """Return the perturbed genes of each cell.

    Raises:
      DataError: a label is missing or is not text, no cell is a control, or a label names a gene
        that is not one of the perturbed treatments.
    """
    text = text_of(adata, "perturbation")
    names, codes = labels.group_by_label(text)
    genes = [labels.perturbed_genes(name, record.control, record.separator) for name in names]
    for name, named in zip(names, genes, strict=True):
        parts = name.split(record.separator) if record.separator else [name]
        if not named and record.control not in parts:
            raise DataError(
                f"obs['perturbation'] has the label {str(name)!r}, which names no gene; {ADVICE}"
            )
    found = Perturbed(codes, genes)
    if not found.is_control.any():
        raise DataError(
            f"obs['perturbation'] has no control cells: uns[{RECORD!r}]['control'] is "
            f"{record.control!r}, and the labels are {listed(set(names), 5)}; {ADVICE}"
        )
    named = {gene for group in genes for gene in group}
    beyond = named & set(record.treatments[record.n_perturbed :])
    if beyond:
        raise DataError(
            f"cells carry perturbations beyond uns[{RECORD!r}]['n_perturbed']: {listed(beyond)}; "
            f"{ADVICE}"
        )
    unknown = named - set(record.treatments)
    if unknown:
        raise DataError(
            f"obs['perturbation'] has perturbations without a dosage column: {listed(unknown, 5)} "
            f"(not in uns[{RECORD!r}]['dosage_names'], read with the separator "
            f"{record.separator!r} and the control {record.control!r}); {ADVICE}"
        )
    return found


def text_of(adata: Cells, name: str) -> np.ndarray:
    """Return an obs column of names, [N] text (raises DataError if it has other values)."""
    column = cast(pd.DataFrame, adata.obs)[name]
    missing = int(column.isna().sum())
    if missing:
        raise DataError(f"obs[{name!r}] is missing in {missing} of {len(column)} cells; {ADVICE}")
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    distinct = column.cat.categories if categorical else column.unique()
    odd = [value for value in distinct if not isinstance(value, str)]
    if odd:
        raise DataError(f"obs[{name!r}] has {odd[0]}, which is not text; {ADVICE}")
    return column.to_numpy(dtype=str)


def quality_flags(adata: Cells) -> np.ndarray:
    """Return the quality columns, [N, Q]: obsm['qc_fail'] if present, else obs['qc_fail'].

    Raises DataError unless they hold 0 and 1.
    """
    inside = "obsm" if "qc_fail" in adata.obsm else "obs"
    values = np.asarray(getattr(adata, inside)["qc_fail"])
    if values.dtype.kind == "O":  # booleans and numbers that a table keeps as objects
        values = _as_numbers(values)
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise DataError(
            f"{inside}['qc_fail'] must hold 0 (passed) and 1 (failed) only, not "
            f"{_example(values)}; {ADVICE}"
        )
    return values.astype(np.float32).reshape(adata.n_obs, -1)


def check_matches(adata: Cells, is_control: np.ndarray, split: np.ndarray, elsewhere: int) -> None:
    """Check that every cell is matched to a control cell of its split.

    Args:
      adata: N cells.
      is_control: [N] bool.
      split: [N] text.
      elsewhere: how many matches are in another split: the number that the record states, as files
        prepared upstream may have such matches.

    Raises:
      DataError: a match is no cell, is not a control cell, or is in another split.
    """
    field = "obs['matched_control']"
    text = text_of(adata, "matched_control")
    at = adata.obs_names.get_indexer(pd.Index(text))
    if (at < 0).any():
        raise DataError(f"{field} names {str(text[at < 0][0])!r}, which is not a cell; {ADVICE}")
    if not is_control[at].all():
        name = str(text[~is_control[at]][0])
        raise DataError(f"{field} names {name!r}, which is not a control cell; {ADVICE}")
    outside = split[at] != split
    if int(outside.sum()) != elsewhere:
        example = ""
        if outside.any():
            cell = int(np.argmax(outside))
            example = (
                f", such as that of {adata.obs_names[cell]!r} ({str(split[cell])!r}), which is in "
                f"{str(split[at[cell]])!r}"
            )
        raise DataError(
            f"{field} has {int(outside.sum())} matches in another split than their cell{example}; "
            f"uns[{RECORD!r}]['stages'] states {elsewhere}; {ADVICE}"
        )


def read_delta(adata: Cells, treatments: Sequence[str]) -> np.ndarray:
    """Return delta, [N, T] float32, with 0 for treatments that are not measured.

    Raises:
      DataError: as `delta_at` and `delta_rows`.
    """
    return delta_rows(adata, np.asarray(delta_at(adata, treatments)[:]), treatments)


def delta_at(adata: Cells, treatments: Sequence[str]) -> Any:
    """Return delta as it is stored, after checks of its type and shape, not its values.

    Raises:
      DataError: it has another shape, or holds text or complex numbers.
    """
    field, delta = "obsm['delta_x']", adata.obsm["delta_x"]
    if not hasattr(delta, "dtype"):
        delta = np.asarray(delta)
    expected = (adata.n_obs, len(treatments))
    if delta.shape != expected:
        raise DataError(
            f"{field}: delta has shape {delta.shape}; expected {expected}, a column for each of "
            f"uns[{RECORD!r}]['dosage_names']; {ADVICE}"
        )
    if delta.dtype.kind != "f":
        raise DataError(f"{field} has {delta.dtype} values, not decimal numbers; {ADVICE}")
    return delta


def delta_rows(adata: Cells, delta: np.ndarray, treatments: Sequence[str]) -> np.ndarray:
    """Return some rows of delta, [n, T] float32, with 0 for treatments that are not measured.

    Raises:
      DataError: values that no preparation writes: negative or infinite numbers, NaN for measured
        treatments, or numbers for others.
    """
    measured = np.isin(np.asarray(treatments, dtype=str), np.asarray(adata.var_names, dtype=str))
    for i, name in enumerate(treatments):
        column, problem = delta[:, i], ""
        if not measured[i] and np.nan_to_num(column).any():
            problem = "has values, but this gene is not measured: genes were renamed or removed"
        elif measured[i] and not np.isfinite(column).all():
            problem = f"has {int((~np.isfinite(column)).sum())} values that are NaN or infinite"
        elif measured[i] and (column < 0).any():
            problem = f"has negative values (down to {column.min():g})"
        if problem:
            raise DataError(f"obsm['delta_x'], column {i} ({name}), {problem}; {ADVICE}")
    return np.where(measured, delta, 0).astype(np.float32)


def check_fields(adata: Cells) -> None:
    """Raise DataError unless every required field of cells is there."""
    obs = cast(pd.DataFrame, adata.obs)
    require(obs, ("perturbation", "split", "qc_fail", "matched_control"), "obs", adata.obsm)
    require(adata.layers, ("counterfactual",), "layers")
    require(adata.obsm, ("delta_x",), "obsm")


def field_of(where: str) -> str:
    """Return the name of X or of a layer in messages."""
    return where if where == "X" else f"layers[{where!r}]"


def _as_numbers(values: np.ndarray) -> np.ndarray:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return values


def _example(values: np.ndarray) -> str:
    """Return the first value that is neither 0 nor 1, for a message."""
    odd = [value for value in values.ravel() if value not in (0, 1)]
    return str(odd[0]) if odd else f"{values.dtype} values"
