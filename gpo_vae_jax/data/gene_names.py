"""Gene names: var names, the symbols or Ensembl ids beside them, and misspelt ones."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from gpo_vae_jax.errors import DataError, listed

SYMBOL_COLUMNS = (
    *("gene_name", "gene_names", "gene_symbol", "gene_symbols", "symbol", "symbols"),
    *("feature_name", "gene_short_name", "gene"),
)
ID_COLUMNS = (
    *("gene_id", "gene_ids", "ensembl_id", "ensembl_ids", "ensembl", "feature_id"),
    *("entrez", "entrez_id", "entrezgene", "ncbi_gene_id"),
)
_MISSING = ("", "nan", "na", "n/a", "<na>", "none", "null", "-", ".", "nat")
_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d+(\.\d+)?$")
_VERSION = re.compile(r"[.-]\d+$")
_LONG = 8  # letters from which on a name may be misspelt; a short one is another gene
_SIMILAR = 0.8


def gene_aliases(var: pd.DataFrame, key: str = "") -> dict[str, str]:
    """Return the var name of every other name of a gene.

    A name shared by several genes, or equal to a var name, is left out.

    Args:
      var: G rows, indexed by var names.
      key: the column with the other names; empty: every well-known column.

    Raises:
      DataError: `var` has no column `key`.
    """
    if key and key not in var:
        raise DataError(
            f"config.prepare.gene_name_key: var has no column {key!r}; "
            f"there are: {listed(var.columns) or 'none'}"
        )
    names = [str(name) for name in var.index]
    own = set(names)
    found: dict[str, str] = {}
    ambiguous = set()
    for column in [key] if key else _known_columns(var, SYMBOL_COLUMNS + ID_COLUMNS):
        for other, name in zip(as_text(var[column]), names, strict=True):
            if other in own or is_missing(other):
                continue
            if found.setdefault(other, name) != name:
                ambiguous.add(other)
    return {other: name for other, name in found.items() if other not in ambiguous}


def is_missing(name: str) -> bool:
    """Return whether a text stands for a name that is not there: "", "nan", "NA", "None", ..."""
    return name.strip().lower() in _MISSING


def as_text(values: pd.Series) -> list[str]:
    """Return names as text without blanks around them; whole numbers without a decimal point."""
    if pd.api.types.is_float_dtype(values.dtype):
        return [str(int(v)) if v == v and v == int(v) else str(v) for v in values]
    whole = (int(v) if isinstance(v, float) and v.is_integer() else v for v in values)
    return [str(value).strip() for value in whole]


def symbols(var: pd.DataFrame, key: str = "") -> tuple[list[str], str]:
    """Return the symbol of each gene, [G], and a note on where it comes from ("": nothing to note).

    Symbols identify mitochondrial, ribosomal and haemoglobin genes. They are the var names, or the
    column `key` (empty: a well-known one) if the var names are Ensembl ids.
    """
    names = [str(name) for name in var.index]
    if not _are_ids(names):
        return names, ""
    for column in [key] if key else _known_columns(var, SYMBOL_COLUMNS):
        values = [str(value) for value in var[column]]
        if not _are_ids(values):
            return values, f"mitochondrial and other genes are identified by var[{column!r}]"
    return names, (
        "var names are Ensembl ids and no column has symbols: mitochondrial, ribosomal and "
        "haemoglobin shares are 0; name the column of symbols in config.prepare.gene_name_key"
    )


def names_beside(obs: pd.DataFrame, labels: np.ndarray, code: np.ndarray) -> list[dict[str, str]]:
    """Return, for each obs column with other names of perturbed genes, label -> other name.

    A label with several other names is left out, and so are names that stand for a missing one.

    Args:
      obs: N rows.
      labels: the distinct labels.
      code: [N] the label of each cell, as an index into `labels`.
    """
    found = []
    for column in _known_columns(obs, SYMBOL_COLUMNS + ID_COLUMNS):
        pairs = pd.DataFrame({"code": code, "other": as_text(obs[column])})
        pairs = pairs.drop_duplicates()
        pairs = pairs[~pairs["code"].duplicated(keep=False)]
        pairs = pairs[[not is_missing(other) for other in pairs["other"]]]
        found.append({str(labels[c]): str(o) for c, o in pairs.itertuples(index=False)})
    return found


def meant_gene(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown gene: a near-certain variant, or known names.

    A variant differs in case or punctuation, or has a version where the other has none. A long name
    may also be misspelt, but not in its digits. Nothing else is suggested: TP53 is not STK3.
    """
    known = sorted(set(known))
    for form, other in ((_plain, _plain), (_unversioned, _plain), (_plain, _unversioned)):
        for candidate in known:
            if form(name) and form(name) == other(candidate):
                return f"did you mean {candidate!r}?"
    if len(_plain(name)) >= _LONG:
        same_digits = [one for one in known if _digits(one) == _digits(name)]
        close = difflib.get_close_matches(name, same_digits, n=1, cutoff=_SIMILAR)
        if close:
            return f"did you mean {close[0]!r}?"
    return f"known names: {listed(known)}"


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _unversioned(name: str) -> str:
    return _plain(_VERSION.sub("", name))


def _digits(name: str) -> str:
    return re.sub(r"\D", "", name)


def _known_columns(table: pd.DataFrame, known: Sequence[str]) -> list[str]:
    return [str(column) for column in table if str(column).lower() in known]


def _are_ids(names: Sequence[str]) -> bool:
    return bool(names) and sum(bool(_ENSEMBL.match(name)) for name in names) > len(names) / 2
