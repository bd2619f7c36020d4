"""The raw counts: where they are, which of their columns are genes, and how fractions round."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.config_io import meant
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.raw.normalised_values import far_from_one, normalised, sample_rows
from gpo_vae_jax.data.sparse_rows import by_blocks, check_parts
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.statistics.random_by_name import hash_names, uniform_of_pairs

_ROUND = "config.prepare.counts=round rounds values after ambient correction (SoupX, CellBender)"


@dataclasses.dataclass(frozen=True)
class CountSource:
    """Counts of N cells, read in rows: F features, of which G are genes."""

    matrix: count_matrix.CountMatrix  # [N, F]; may be on disk
    where: str  # for messages
    genes: np.ndarray | None = None  # the columns of the genes; None: all, G = F
    sums: sparse.csr_matrix | None = None  # [F, G], 1 where a feature counts for a gene
    hashes: tuple[np.ndarray, np.ndarray] | None = None  # of N cells and F features, to round by

    def read(self, rows: np.ndarray) -> count_matrix.CountMatrix:
        """Return the counts of some cells, [len(rows), G], narrow, CSR or dense."""
        if self.genes is None and self.sums is None and self.hashes is None:
            return count_matrix.narrow_copy(self.matrix, rows)
        width = self.matrix.shape[1]
        width = width if self.genes is None else len(self.genes)
        width = width if self.sums is None else self.sums.shape[1]
        return count_matrix.narrow_copy(self.matrix, rows, self._changed, width)

    def _changed(self, part: count_matrix.CountMatrix, rows: np.ndarray) -> Any:
        if self.hashes is not None:
            part = _rounded(part, self.hashes[0][rows], self.hashes[1])
        if self.sums is not None:
            return part @ self.sums if sparse.issparse(part) else (self.sums.T @ part.T).T
        return part if self.genes is None else part[:, self.genes]


class _Place(NamedTuple):
    setting: str  # that names it
    where: str
    matrix: Any
    var: pd.DataFrame


def find_counts(
    adata: anndata.AnnData, config: PrepareConfig
) -> tuple[CountSource, pd.DataFrame, str]:
    """Return the raw counts, the rows of `var` of their features, and a note ("": none).

    They are in X unless a setting names another place. If X plainly is no counts and exactly one
    layer (or raw) plainly is, that is taken.

    Raises:
      DataError: the named place does not exist or its values are not counts; the message says
        where counts are instead.
    """
    chosen, others = _places(adata, config)
    if chosen.matrix is None:
        problem = "the AnnData has no X"
    else:
        if 0 in chosen.matrix.shape:
            n, g = chosen.matrix.shape
            raise DataError(f"the matrix is empty: {n} cells x {g} genes")
        chosen, problem = _by_rows(chosen)
        problem = problem or _problem(chosen, config)
    if not problem:
        return _source(chosen, adata, config), chosen.var, ""
    found = [_by_rows(place) for place in others if place.matrix is not None]
    fitting = [place for place, damage in found if not damage and _looks_raw(place)]
    named = bool(config.layer or config.use_raw)
    if len(fitting) == 1 and not named and config.counts == "whole":
        place = fitting[0]
        if not _problem(place, config):
            note = f"counts are read from {place.where}: {_reason(chosen)}"
            return _source(place, adata, config), place.var, note
    advice = f"; whole numbers are found with {' or '.join(p.setting for p in fitting)}"
    if not fitting:
        named_layer = "; name a layer with counts in config.prepare.layer"
        advice = named_layer if chosen.matrix is None else ""
    raise DataError(f"{problem}{advice}")


def var_of_counts(adata: anndata.AnnData, config: PrepareConfig) -> pd.DataFrame:
    """Return the rows of `var` of the place that the settings name (raises DataError)."""
    return _places(adata, config)[0].var


def suspicion(source: CountSource) -> str:
    """Return a note if the values are unusual for UMI counts, though they may be some."""
    values = sample_rows(source.matrix)
    if not far_from_one(values if source.genes is None else values[:, source.genes]):
        return ""
    return (
        f"most cells of {source.where} have zeros but no value of 1, as if values had been "
        "normalised and rounded: make sure that they are raw UMI counts"
    )


def only_genes(source: CountSource, genes: np.ndarray) -> CountSource:
    """Return the source without features that are no genes; `genes` are the columns to keep."""
    if len(genes) == source.matrix.shape[1]:
        return source
    return dataclasses.replace(source, genes=genes)


def summed(source: CountSource, groups: Sequence[Sequence[int]]) -> CountSource:
    """Return the source with the genes [G'], each the sum of some of the present ones."""
    features = np.arange(source.matrix.shape[1]) if source.genes is None else source.genes
    column = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    row = features[np.concatenate([np.asarray(group, int) for group in groups])]
    shape = (source.matrix.shape[1], len(groups))
    ones = np.ones(len(row), np.int64)
    return dataclasses.replace(source, sums=sparse.csr_matrix((ones, (row, column)), shape))


def _places(adata: anndata.AnnData, config: PrepareConfig) -> tuple[_Place, list[_Place]]:
    """Return the place that the settings name, and all others."""
    var = cast(pd.DataFrame, adata.var)
    try:
        values = adata.X
    except KeyError:  # of a file without X, on disk
        values = None
    x = _Place("config.prepare.layer= (X)", "X", by_blocks(values), var)
    layers = {
        name: _Place(
            f"config.prepare.layer={name}", f"layer {name!r}", by_blocks(adata.layers[name]), var
        )
        for name in adata.layers
    }
    raw = []
    if adata.raw is not None:
        raw_var = cast(pd.DataFrame, adata.raw.var)
        raw = [_Place("config.prepare.use_raw=True", "raw.X", adata.raw.X, raw_var)]
    if config.use_raw:
        if not raw:
            raise DataError("config.prepare.use_raw: the AnnData has no raw")
        return raw[0], [x, *layers.values()]
    if config.layer:
        if config.layer not in layers:
            there = meant(config.layer, list(layers)) if layers else "there are none"
            raise DataError(f"config.prepare.layer: there is no layer {config.layer!r}; {there}")
        rest = [place for name, place in layers.items() if name != config.layer]
        return layers[config.layer], [x, *rest, *raw]
    return x, [*layers.values(), *raw]


def _problem(place: _Place, config: PrepareConfig) -> str:
    """Return why the values of a place are no counts, or "" if they are."""
    why = ""
    if config.counts != "trust" and _numeric(place.matrix):
        sample = sample_rows(place.matrix)
        why = normalised(sample)
        whole = not (sample != np.floor(sample)).any()
        if why and (config.counts == "round" or whole):
            after = " and then rounded" if whole else ""
            return (
                f"{place.where} has values that were normalised{after}: {why}; raw UMI counts are "
                "needed (config.prepare.counts=trust takes them as they are)"
            )
    try:
        count_matrix.check_counts(place.matrix, place.where, fractions=config.counts == "round")
    except DataError as error:
        rounding = "not whole numbers" in str(error) and not why
        return f"{error}; {_ROUND}" if rounding else str(error)
    return ""


def _by_rows(place: _Place) -> tuple[_Place, str]:
    """Return a place whose matrix has cheap row slices, converted once, and what is damaged."""
    try:
        check_parts(place.matrix, place.where)  # before anything is cut out of it
    except DataError as error:
        return place, str(error)
    return place._replace(matrix=count_matrix.by_rows(place.matrix)), ""


def _looks_raw(place: _Place) -> bool:
    """Return whether a sample of the values are counts above 1 that were not normalised."""
    if not _numeric(place.matrix) or 0 in place.matrix.shape:
        return False
    sample = sample_rows(place.matrix)
    try:
        count_matrix.check_values(sample, place.where)
    except DataError:
        return False
    return bool(sample.any()) and not normalised(sample)


def _numeric(matrix: Any) -> bool:
    return np.dtype(matrix.dtype).kind in "biuf" and 0 not in matrix.shape


def _reason(chosen: _Place) -> str:
    return "there is no X" if chosen.matrix is None else f"the values of {chosen.where} are not"


def _source(place: _Place, adata: anndata.AnnData, config: PrepareConfig) -> CountSource:
    if config.counts != "round":
        return CountSource(place.matrix, place.where)
    cells = hash_names(adata.obs_names, config.seed, "round")
    features = hash_names(place.var.index, config.seed, "round")
    return CountSource(place.matrix, place.where, hashes=(cells, features))


def _rounded(part: Any, cells: np.ndarray, features: np.ndarray) -> Any:
    """Round each value up with the probability of its fraction, by the names of cell and gene."""
    if sparse.issparse(part):
        part = sparse.csr_matrix(part, copy=True)
        part.sum_duplicates()
        cell = np.repeat(cells, np.diff(part.indptr))
        part.data = _up_or_down(part.data, cell, features[part.indices])
        return part
    return _up_or_down(np.asarray(part), cells[:, None], features[None, :])


def _up_or_down(values: np.ndarray, cells: np.ndarray, features: np.ndarray) -> np.ndarray:
    below = np.floor(values)
    return below + (uniform_of_pairs(cells, features) < values - below)
