"""Raw files written by hand from their public layouts, not by the libraries that read them."""

import gzip
import io

import h5py
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.io import mmwrite

from tests.data.prepare.raw.screens import GENES, screen

GUIDES = [*(f"{gene}_sg{k}" for gene in GENES for k in (1, 2)), "non-targeting_1", "NT_2"]


def multiome(n=300, seed=0):
    """Return a screen without labels, its guide counts, and the labels that they mean."""
    raw = screen(n)
    rng = np.random.default_rng(seed)
    label = raw.obs["perturbation"].to_numpy(str)
    at = [
        GUIDES.index(f"{x}_sg{i // 4 % 2 + 1}") if x in GENES else 8 + i % 2
        for i, x in enumerate(label)
    ]
    counts = rng.poisson(0.05, (n, len(GUIDES)))
    counts[np.arange(n), at] += rng.poisson(60, n)
    counts[:10] = 0  # no guide
    counts[10:20] = 40  # all guides at once
    label[:10], label[10:20] = "unassigned", "multiplet"
    raw.obs_names = [f"{'ACGT' * 4}{i:03d}-{i % 3 + 1}" for i in range(n)]
    raw.obs = raw.obs.drop(columns="perturbation")
    raw.var["gene_ids"] = [f"ENSG{i:011d}" for i in range(raw.n_vars)]
    return raw, counts, label


def features(raw):
    names = [*raw.var_names, *GUIDES]
    ids = [*raw.var["gene_ids"], *GUIDES]
    kinds = ["Gene Expression"] * raw.n_vars + ["CRISPR Guide Capture"] * len(GUIDES)
    return ids, names, kinds


def tenx_h5(path, raw, guides):
    """Write cellranger's HDF5 file of version 3."""
    matrix = sparse.csr_matrix(np.hstack([raw.X.toarray(), guides]).astype(np.int32))
    ids, names, kinds = features(raw)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array(matrix.shape[::-1], np.int32)
        group["barcodes"] = np.array(raw.obs_names, "S")
        into = group.create_group("features")
        for name, values in (("id", ids), ("name", names), ("feature_type", kinds)):
            into[name] = np.array(values, "S")
        into["genome"] = np.array(["GRCh38"] * len(ids), "S")


def tenx_v2_h5(path, raw):
    """Write cellranger's HDF5 file of version 2: a group for the genome, genes alone."""
    matrix = sparse.csr_matrix(raw.X).astype(np.int32)
    with h5py.File(path, "w") as file:
        group = file.create_group("GRCh38")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array(matrix.shape[::-1], np.int32)
        group["barcodes"] = np.array(raw.obs_names, "S")
        group["genes"] = np.array(raw.var["gene_ids"], "S")
        group["gene_names"] = np.array(raw.var_names, "S")


def tenx_folder(folder, raw, guides, *, packed=True, prefix="", old=False):
    """Write a matrix folder of version 3, or 2 if `old`."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = raw.X.toarray() if old else np.hstack([raw.X.toarray(), guides])
    body = io.BytesIO()
    mmwrite(body, sparse.coo_matrix(counts.T.astype(int)))
    ids, names, kinds = features(raw)
    table = pd.DataFrame({0: ids, 1: names, 2: kinds})
    table = table.iloc[: raw.n_vars, :2] if old else table
    texts = {
        "matrix.mtx": body.getvalue(),
        ("genes.tsv" if old else "features.tsv"): table.to_csv(
            sep="\t", header=False, index=False
        ).encode(),
        "barcodes.tsv": "\n".join(raw.obs_names).encode(),
    }
    for name, text in texts.items():
        path = folder / f"{prefix}{name}{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(text) if packed else text)
