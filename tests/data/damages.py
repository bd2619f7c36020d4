"""A small prepared file, and hundreds of ways to damage what HDF5 stores of it."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import h5py
import numpy as np
from scipy import sparse

from gpo_vae_jax import data
from gpo_vae_jax.config import PrepareConfig, SimulateConfig

CONTROL = "non-targeting"
OPTIONAL = ("settings", "stages", "thresholds", "counts", "notes", "versions")
KEPT = ("perturbation", "split", "qc_fail", "matched_control", "UMI_count", "qc_fail_true")
# Fields that nothing reads, and one that is read as X is, get these damages alone.
ROUGH = ("deleted", "all NaN", "undecodable", "one short", "text")
ONLY_ROUGHLY = (
    *("obs/UMI_count", "obs/qc_fail_true", "var/in_network", "uns/gpo_vae/versions"),
    *(f"layers/counterfactual/{part}" for part in ("data", "indices", "indptr")),
)
# What may become of a Dataset without an error, field by field: the beginnings of what may differ.
# Anything else must be the same. Another name of a gene or cell, and other numbers of a made-up
# truth, are as good as the first ones; of the rest, a file has what it has.
MAY_DIFFER = {
    "var/gene_name": ("conventions.aliases", "conventions.symbols"),
    "uns/gpo_vae/thresholds: deleted": ("conventions.quality_limits",),
    "uns/gpo_vae_truth": ("true_",),
    "obs/_index: one other": ("cells.",),
    "var/_index: one other": ("genes", "conventions."),
}


@dataclasses.dataclass(frozen=True)
class Damage:
    """One way to damage a file, and the words of which an error must contain one."""

    name: str
    field: str
    change: Callable[[h5py.File], None]
    words: tuple[str, ...]

    @property
    def part(self) -> str:
        """Return the part of the file that is damaged."""
        parts = self.field.split("/")
        return "/".join(parts[:2]) if len(parts) > 1 and parts[0] == "uns" else parts[0]


def raw(n_cells: int = 72) -> anndata.AnnData:
    """Return raw counts with combinations, one perturbed gene that is not measured, and symbols."""
    config = SimulateConfig(
        n_cells=n_cells, n_genes=12, n_perturbed=3, n_extended=2, double_fraction=0.3, seed=4
    )
    adata = data.simulate(config)
    adata.var["gene_name"] = [f"SYM{i}" for i in range(adata.n_vars)]
    lost = adata.var_names[adata.var["perturbed"]][-1]
    return adata[:, adata.var_names != lost].copy()


def write_prepared(folder: Path, *, of: str = "") -> Path:
    """Write a prepared file, and return its path.

    It has what training needs and, where the part `of` it is to be damaged, what else uns may hold.
    """
    path = folder / "prepared.h5ad"
    prepared = data.prepare(raw(), PrepareConfig(unmeasured="keep"))
    prepared.obs = prepared.obs[list(KEPT)]  # the others are read like UMI_count
    if of != "uns/gpo_vae_truth":
        del prepared.uns["gpo_vae_truth"]
    if of != "uns/gpo_vae":
        for name in OPTIONAL:
            del prepared.uns["gpo_vae"][name]
    data.write(prepared, path)
    return path


def write_recorded(folder: Path) -> Path:
    """Write a file prepared from upstream's columns, with matches in another split."""
    adata, path = raw(), folder / "recorded.h5ad"
    for name in ("UMI_count", "ngenes", "pct_counts_mt", "pct_counts_ribo", "pct_counts_hb"):
        adata.obs[name] = np.ones(adata.n_obs)
    adata.obs["predicted_doublet"] = False
    adata.var["FC3"] = False
    controls = adata.obs_names[adata.obs["perturbation"] == CONTROL]
    adata.obs["matched_ctrl_idx"] = np.resize(controls, adata.n_obs)
    config = PrepareConfig(unmeasured="keep", extended_log_fold_change=3)
    data.write(data.prepare(adata, config), path)
    return path


def damages(path: Path) -> list[Damage]:
    """Return every damage of every field of a file."""
    found: list[Damage] = []
    with h5py.File(path) as file:
        names: list[str] = []
        file.visit(names.append)
        for name in names:
            if isinstance(file[name], h5py.Dataset):
                found += _damages_of(name, file[name])
    for group in (group for group in GROUPS if group in names):
        for how, change in _group_changes(group).items():
            found.append(Damage(f"{group}: {how}", group, change, _words(group)))
    for name, (field, change) in ATTRIBUTES.items():
        found.append(Damage(name, field, change, _words(field)))
    for matrix in MATRICES:
        for how, change in sparse_changes(matrix).items():
            found.append(Damage(f"{matrix}: {how}", matrix, change, _words(matrix)))
    return found


def _words(field: str) -> tuple[str, ...]:
    """Return the words that name a field: its own, or that of the column or record around it."""
    parts = [part for part in field.split("/") if part not in ("obs", "uns", "layers", "obsm")]
    parts += {"_index": ["index", "names"], "X": ["counts"]}.get(parts[-1], []) if parts else []
    return (*parts, *([field] if not parts else ()))


def _damages_of(leaf: str, node: h5py.Dataset) -> Iterator[Damage]:
    text = node.dtype.kind == "O"
    values = node.asstr()[()] if text else node[()]
    changes: dict[str, Callable[[h5py.File], None]] = {
        "deleted": lambda file: file.__delitem__(leaf),
        "a group": lambda file: (file.__delitem__(leaf), file.create_group(leaf)),
    }
    for how, value in _values(values, text):
        changes[how] = lambda file, value=value: put(file, leaf, value)
    for how, change in changes.items():
        if how in ROUGH or leaf not in ONLY_ROUGHLY:
            yield Damage(f"{leaf}: {how}", leaf, change, _words(leaf))


def _values(values, text: bool) -> Iterator[tuple[str, object]]:
    """Return what may stand in place of an array or of one value."""
    shape = np.shape(values)
    ones = np.ones(shape)
    yield "all NaN", ones * np.nan
    yield "complex", ones * (1 + 2j)
    yield "bool", ones.astype(bool) if text else np.asarray(values, bool)
    yield "text", np.full(shape, "x", object)
    yield "empty text", np.full(shape, "", object)
    yield "undecodable", np.full(shape, b"\xff\xfe\x81", object)
    yield "another dimension", np.asarray([values, values], object if text else None)
    if not text:
        yield "other floats", np.asarray(values, np.float64)
        yield "minus", -np.asarray(values, np.float64) - 1
    if not np.size(values) or not shape:
        return
    yield "empty", values[:0]
    yield "one short", values[:-1]
    yield "one number", np.float64(1.0)
    for how, one in _single(text):
        changed = np.asarray(values, object if text else np.float64).copy()
        changed.flat[0] = one
        yield f"one {how}", changed


def _single(text: bool) -> Iterator[tuple[str, object]]:
    if text:
        yield from (("empty", ""), ("undecodable", b"\xff\xfe"), ("other", "elsewhere"))
    else:
        yield from (("NaN", np.nan), ("negative", -1.0), ("fraction", 0.5), ("huge", 2.0**40))


def put(file: h5py.File, name: str, value: object) -> None:
    """Replace an array by another, with its attributes; text gets the encoding of text."""
    kept = dict(file[name].attrs)
    del file[name]
    array = np.asarray(value)
    text = array.dtype.kind == "O"
    file.create_dataset(name, data=array, dtype=h5py.string_dtype() if text else None)
    if "encoding-type" in kept:
        scalar = "string" if text else "numeric-scalar"
        kept["encoding-type"] = ("string-array" if text else "array") if array.ndim else scalar
    file[name].attrs.update(kept)


MATRICES = ("X", "layers/counterfactual")
GROUPS = (
    *("X", "layers", "layers/counterfactual", "obsm", "obs", "obs/perturbation", "obs/split"),
    *("var", "uns", "uns/gpo_vae", "uns/gpo_vae_truth"),
)


def _group_changes(name: str) -> dict[str, Callable[[h5py.File], None]]:
    def array(file, values):
        del file[name]
        file[name] = values

    return {
        "deleted": lambda file: file.__delitem__(name),
        "a number": lambda file: array(file, 3.0),
        "an array of one dimension": lambda file: array(file, np.arange(5.0)),
        "a matrix of another shape": lambda file: array(file, np.ones((3, 4))),
        "an empty group": lambda file: (file.__delitem__(name), file.create_group(name)),
        "without its encoding": lambda file: file[name].attrs.__delitem__("encoding-type"),
        "of an unknown encoding": lambda file: file[name].attrs.update({"encoding-type": "odd"}),
    }


def _attribute(name, key, value):
    return lambda file: file[name].attrs.update({key: value})


ATTRIBUTES = {
    "obs: column-order of absent columns": ("obs", _attribute("obs", "column-order", ["a", "b"])),
    "obs: column-order of numbers": ("obs", _attribute("obs", "column-order", np.arange(3.0))),
    "obs: no column-order": ("obs", lambda file: file["obs"].attrs.__delitem__("column-order")),
    "obs: index of another name": ("obs", _attribute("obs", "_index", "nothing")),
    "obs: no index": ("obs", lambda file: file["obs"].attrs.__delitem__("_index")),
    "var: no index": ("var", lambda file: file["var"].attrs.__delitem__("_index")),
    "perturbation: ordered is text": (
        "obs/perturbation",
        _attribute("obs/perturbation", "ordered", "x"),
    ),
}


def sparse_changes(name: str) -> dict[str, Callable[[h5py.File], None]]:
    """Return damages of a CSR matrix that its parts, one by one, do not show."""

    def at(part, place, value):
        def change(file):
            values = file[name][part][()]
            values[place] = value
            put(file, f"{name}/{part}", values)

        return change

    def whole(values_of):
        def change(file):
            matrix = {part: file[name][part][()] for part in ("data", "indices", "indptr")}
            for part, values in values_of(matrix).items():
                put(file, f"{name}/{part}", values)

        return change

    def dense(values_of):
        def change(file):
            matrix = file[name]
            rows = tuple(matrix[part][()] for part in ("data", "indices", "indptr"))
            values = sparse.csr_matrix(rows, shape=matrix.attrs["shape"]).toarray()
            del file[name]
            file[name] = values_of(values)
            file[name].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})

        return change

    def holed(values, value):
        values = values.astype(np.float64)
        values[2, 3] = value
        return values

    shape = lambda value: _attribute(name, "shape", value)  # noqa: E731
    return {
        "an index just too large": at("indices", 5, 11),
        "the last index too large": at("indices", -1, 200),
        "an index far too large": at("indices", 0, 2**31 - 1),
        "an index below zero": at("indices", 7, -1),
        "64-bit index out of range": whole(
            lambda m: {"indices": m["indices"].astype(np.int64) + 2**33}
        ),
        "unsigned index out of range": whole(
            lambda m: {"indices": (m["indices"] + np.int64(2**31)).astype(np.uint32)}
        ),
        "indptr starts at 1": at("indptr", 0, 1),
        "indptr starts below 0": at("indptr", 0, -5),
        "indptr falls": at("indptr", 4, 0),
        "indptr rises above its end": at("indptr", 4, 10**6),
        "indptr ends too early": at("indptr", -1, 10),
        "indptr ends too late": at("indptr", -1, 10**8),
        "indptr reversed": whole(lambda m: {"indptr": m["indptr"][::-1].copy()}),
        "nothing stored": whole(lambda m: {"data": m["data"][:0], "indices": m["indices"][:0]}),
        "data short, indices not": whole(lambda m: {"data": m["data"][:-3]}),
        "both short": whole(lambda m: {"data": m["data"][:-3], "indices": m["indices"][:-3]}),
        "indices in two dimensions": whole(lambda m: {"indices": m["indices"][:, None]}),
        "shape of more genes": shape([72, 2000]),
        "shape of fewer genes": shape([72, 3]),
        "shape of more cells": shape([7200, 11]),
        "shape of one number": shape([72]),
        "shape below zero": shape([-72, -11]),
        "shape of text": shape("72 x 11"),
        "no shape": lambda file: file[name].attrs.__delitem__("shape"),
        "said to be CSC": _attribute(name, "encoding-type", "csc_matrix"),
        "dense": dense(lambda x: x),
        "dense with NaN": dense(lambda x: holed(x, np.nan)),
        "dense with infinity": dense(lambda x: holed(x, np.inf)),
        "dense, negative": dense(lambda x: holed(x, -1)),
        "dense with a fraction": dense(lambda x: holed(x, 0.5)),
        "dense, too large": dense(lambda x: holed(x, 2.0**33)),
        "dense complex": dense(lambda x: x + 1j),
        "dense bool": dense(lambda x: x > 0),
        "dense in three dimensions": dense(lambda x: x[None]),
        "dense, a gene short": dense(lambda x: x[:, :-1]),
        "dense, a cell short": dense(lambda x: x[:-1]),
        "dense transposed": dense(lambda x: x.T),
        "dense text": dense(lambda x: np.full(x.shape, b"5")),
    }
