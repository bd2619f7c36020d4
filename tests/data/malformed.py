"""Ways to spoil good raw data, which hypothesis combines with sizes, formats and conventions."""

import anndata
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

FORMS = {
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "dense": np.asarray,
    "float64": lambda counts: sparse.csr_matrix(counts, dtype=np.float64),
}
CONVENTIONS = {  # obs column, control, what joins names
    "plain": ("perturbation", "non-targeting", "+"),
    "replogle": ("gene", "non-targeting", "+"),
    "gears": ("condition", "ctrl", "+"),
    "scperturb": ("perturbation", "control", "_"),
}


def good(rng, n_cells, n_genes, form, convention):
    """Return a small data set that can be prepared, with float32 counts as in most files."""
    key, control, joint = CONVENTIONS[convention]
    kinds = ["G0", "G1", f"G0{joint}G1", control, control]
    label = np.array(kinds)[np.arange(n_cells) % len(kinds)]
    counts = rng.poisson(4.0, (n_cells, n_genes)).astype(np.float32)
    return anndata.AnnData(
        FORMS[form](counts),
        obs=pd.DataFrame({key: label}, index=[f"c{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=[f"G{i}" for i in range(n_genes)]),
    )


def _with_value(values):
    """Put one value that is not a count into the matrix."""

    def spoil(adata, draw, key, control):
        value = draw(values)
        where = draw(st.integers(0, adata.n_obs * adata.n_vars - 1))
        form = type(adata.X)
        counts = adata.X.toarray() if sparse.issparse(adata.X) else np.array(adata.X)
        counts.flat[where] = value
        adata.X = counts if form is np.ndarray else form(counts)
        return adata, {}

    return spoil


def _labels(change):
    """Change the perturbation column."""

    def spoil(adata, draw, key, control):
        adata.obs[key] = change(adata.obs[key].to_numpy().astype(object), draw, control)
        return adata, {}

    return spoil


def _some(values, draw, value):
    values[draw(st.integers(0, len(values) - 1))] = value
    return values


def _repeat_names(axis):
    def spoil(adata, draw, key, control):
        frame = getattr(adata, axis)
        names = list(frame.index)
        one, two = draw(
            st.lists(st.integers(0, len(names) - 1), min_size=2, max_size=2, unique=True)
        )
        names[one] = names[two]
        frames = {"obs": adata.obs, "var": adata.var} | {axis: frame.set_axis(names)}
        return anndata.AnnData(adata.X, **frames), {}

    return spoil


def _fold(values):
    """Add a split column that cannot be used and is named in the settings."""
    return _split(values, ("fold",))


def _split(values, names=("split", "fold")):
    """Add a split column that cannot be used."""

    def spoil(adata, draw, key, control):
        name = draw(st.sampled_from(names))
        adata.obs[name] = values(adata.obs[key].to_numpy().astype(str), draw, control)
        return adata, {} if name == "split" else {"split_key": name}

    return spoil


def _thirds(label):
    return np.array(["train", "train", "train", "val", "test"])[(np.arange(len(label)) // 5) % 5]


def _without_controls(label, draw, control):
    split = _thirds(label)
    gone = draw(st.sampled_from(["train", "val", "test"]))
    other = "val" if gone == "train" else "train"
    return np.where((label == control) & (split == gone), other, split)


def _setting(**choices):
    """Choose settings that the data does not have or that are out of range."""

    def spoil(adata, draw, key, control):
        return adata, {name: draw(values) for name, values in choices.items()}

    return spoil


_WORDS = st.text("abcxyz", min_size=1, max_size=8)
_FRACTIONS = st.floats(0, 50, width=32).filter(lambda x: x != int(x))
SPOILT = {
    "not integers": _with_value(_FRACTIONS),
    "nan": _with_value(st.just(np.nan)),
    "infinite": _with_value(st.sampled_from([np.inf, -np.inf])),
    "negative": _with_value(st.integers(-1000, -1)),
    "too large": _with_value(st.floats(2.0**33, 2.0**60, width=32).map(np.floor)),
    "no controls": _labels(lambda values, draw, control: np.where(values == control, "G1", values)),
    "control of another name": _labels(
        lambda values, draw, control: np.where(values == control, draw(_WORDS), values)
    ),
    "labels missing": _labels(lambda values, draw, control: _some(values, draw, None)),
    "labels empty": _labels(lambda values, draw, control: _some(values, draw, " ")),
    "labels are numbers": _labels(
        lambda values, draw, control: np.arange(len(values)) / draw(st.integers(1, 9))
    ),
    "labels are codes": _labels(lambda values, draw, control: np.arange(len(values)) % 5),
    "labels are true or false": _labels(lambda values, draw, control: values == control),
    "only controls": _labels(lambda values, draw, control: np.full(len(values), control)),
    "nothing measured": _labels(
        lambda values, draw, control: np.where(values == control, control, draw(_WORDS))
    ),
    "no column": lambda adata, draw, key, control: (
        adata,
        {"perturbation_key": draw(_WORDS), "control": control},
    ),
    "cell names": _repeat_names("obs"),
    "no cells": lambda adata, draw, key, control: (adata[:0].copy(), {}),
    "no genes": lambda adata, draw, key, control: (adata[:, :0].copy(), {}),
    "few cells": lambda adata, draw, key, control: (adata[: draw(st.integers(1, 4))].copy(), {}),
    "no counts": lambda adata, draw, key, control: (
        anndata.AnnData(adata.X * 0, adata.obs, adata.var),
        {},
    ),
    "split of other words": _fold(lambda label, draw, control: np.full(len(label), draw(_WORDS))),
    "split of numbers": _fold(lambda label, draw, control: np.arange(len(label)) % 3),
    "split missing": _split(
        lambda label, draw, control: _some(_thirds(label).astype(object), draw, None)
    ),
    "split without a part": _split(
        lambda label, draw, control: np.where(_thirds(label) == "val", "test", _thirds(label))
    ),
    "split without controls": _split(_without_controls),
    "no split column": _setting(split_key=_WORDS),
    "no layer": _setting(layer=_WORDS),
    "no raw": _setting(use_raw=st.just(True)),
    "no matches": _setting(matched_key=_WORDS),
    "no other names": _setting(gene_name_key=_WORDS),
    "no table": _setting(strong_table=_WORDS),
    "no batch": _setting(scrublet=st.just("batch"), batch_key=st.one_of(st.just(""), _WORDS)),
    "all too few": _setting(min_cells=st.integers(1000, 10**9)),
    "settings out of range": _setting(min_cells=st.integers(-9, -1)),
    "settings of no choice": _setting(matching=_WORDS),
    "settings of another type": _setting(seed=st.sampled_from([1.5, "one", None])),
    "percentile out of range": _setting(knockdown_percentile=st.floats(100.5, 1e6)),
}
