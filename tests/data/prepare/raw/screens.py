"""Small screens to relabel: four knock-downs, each of which raises another gene."""

import json

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax.data import prepare
from gpo_vae_jax.presets import PRESETS

GENES = ("GATA1", "KLF1", "MYC", "SPI1")
CONTROL = "non-targeting"


def screen(n=300, share=0.3, seed=0, others=25, depth=1500.0):
    """Return n cells with obs["perturbation"], by turns so that no label is rare."""
    rng = np.random.default_rng(seed)
    names = [*GENES, *(f"GENE{i:03d}" for i in range(others)), "MT-ND1", "MT-CO1", "RPS3", "HBB"]
    base = rng.gamma(1.0, 1.0, len(names)) + 0.2
    label = np.where(rng.random(n) < share, CONTROL, np.array(GENES)[np.arange(n) % 4])
    rate = np.tile(base / base.sum(), (n, 1)) * rng.gamma(20, 1 / 20, (n, 1)) * depth
    for i, gene in enumerate(GENES):
        rate[label == gene, i] *= 0.2
        rate[label == gene, 4 + i] *= 3.0
    counts = sparse.csr_matrix(rng.poisson(rate).astype(np.float32))
    obs = pd.DataFrame({"perturbation": label}, index=[f"c{i:04d}" for i in range(n)])
    return anndata.AnnData(counts, obs, pd.DataFrame(index=names))


def relabelled(change, adata=None, column="perturbation"):
    """Return a screen with change(label, row) as its labels."""
    adata = screen() if adata is None else adata
    labels = adata.obs.pop("perturbation").astype(str)
    adata.obs[column] = [change(label, i) for i, label in enumerate(labels)]
    return adata


def of_genes(change):
    """Return a change of labels that leaves the control as it is."""
    return lambda label, i: label if label == CONTROL else change(label, i)


def prepared(adata, **settings):
    """Prepare as the plain command does, with settings on top."""
    return prepare(adata, PRESETS["anndata"]().prepare.__class__(**settings), guess=True)


def labels(result):
    """Return the number of cells of each prepared label."""
    return result.obs["perturbation"].value_counts().to_dict()


def notes(result):
    """Return the notes as one text."""
    return "\n".join(json.loads(result.uns["gpo_vae"]["notes"]))


def sizes(adata):
    """Return the number of cells of each label before anything was changed."""
    return adata.obs["perturbation"].value_counts().to_dict()
