"""MuData: the modality of genes, with the counts of guides beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata
import pandas as pd
from scipy import sparse

from gpo_vae_jax.data.prepare.reading.guide_assignment import keep_guides
from gpo_vae_jax.errors import DataError, listed

_GENES = ("rna", "gex", "gene", "genes", "gene expression", "expression", "mrna", "transcriptome")
_GUIDES = (
    *("gdo", "guide", "guides", "grna", "sgrna", "crispr", "crispr guide capture", "sg"),
    *("guide_capture", "protospacer", "perturb", "perturbation"),
)
_INSTALL = "pip install 'gpo-vae-jax[mudata]'"


def read_mudata(path: Path) -> tuple[anndata.AnnData, tuple[str, ...]]:
    """Read an h5mu file as one AnnData, and say which modalities were taken.

    Raises:
      DataError: mudata is not installed, or no modality holds genes.
    """
    try:
        import mudata
    except ImportError as error:
        raise DataError(f"reading {str(path)!r} needs mudata: {_INSTALL}") from error
    return from_mudata(mudata.read_h5mu(path))


def from_mudata(mdata: Any) -> tuple[anndata.AnnData, tuple[str, ...]]:
    """Return the cells of the modality of genes, with the guide counts beside (`keep_guides`).

    obs has the columns of the MuData and of both modalities, without the prefix of a modality. In
    case of doubt, the MuData's own column counts.

    Raises:
      DataError: no modality holds genes.
    """
    names = {str(name).lower(): str(name) for name in mdata.mod}
    genes = next((names[name] for name in _GENES if name in names), "")
    if not genes:
        raise DataError(
            f"no modality of the MuData holds genes: {listed(names.values())}; name it 'rna', or "
            "write that modality as an h5ad"
        )
    guides = next((names[name] for name in _GUIDES if name in names), "")
    adata = mdata.mod[genes].copy()
    columns = [mdata.obs, adata.obs] + ([mdata.mod[guides].obs] if guides else [])
    adata.obs = _columns(columns, adata.obs_names, (genes, guides))
    said = f"the modality {genes!r} is read"
    if guides:
        block = mdata.mod[guides]
        place = block.obs_names.get_indexer(adata.obs_names)
        counts = sparse.lil_matrix((adata.n_obs, block.n_vars), dtype=block.X.dtype)
        counts[place >= 0] = block.X[place[place >= 0]]
        keep_guides(adata, sparse.csr_matrix(counts), list(block.var_names))
        said += f", with {block.n_vars} guides of {guides!r}"
    return adata, (said,)


def _columns(
    tables: Sequence[pd.DataFrame], cells: pd.Index, prefixes: Sequence[str]
) -> pd.DataFrame:
    """Return the columns of several tables for some cells; the first one of a name counts."""
    found: dict[str, pd.Series] = {}
    for table in tables:
        for column in table:
            name = str(column)
            for prefix in prefixes:
                name = name.removeprefix(f"{prefix}:") if prefix else name
            values = table[column]
            if values.dtype == bool and not cells.isin(table.index).all():
                values = values.astype("boolean")  # with gaps, a plain one could not be written
            found.setdefault(name, values.reindex(cells))
    return pd.DataFrame(found, index=cells)
