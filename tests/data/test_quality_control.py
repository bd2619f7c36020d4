"""Quality metrics and flags."""

import json
import re

import anndata
import numpy as np
import pytest
import scanpy
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gpo_vae_jax.data import quality_control as quality
from gpo_vae_jax.errors import DataError
from tests.data.prepare.raw.screens import notes, prepared, screen

GENES = ["MT-CO1", "RPS3", "RPL30", "HBB", "HBP1", "ACTB", "MTOR"]


@pytest.mark.parametrize("threshold", [3, 4, 5])
def test_flags_and_thresholds_equal_the_recorded_ones(golden, threshold):
    recorded = golden("qc_flags")
    metrics = {name: recorded[name] for name in quality.METRICS}
    flags, limits = quality.quality_flags(metrics, threshold)
    for name in quality.METRICS:
        np.testing.assert_array_equal(flags[name], recorded[f"thr{threshold}/qc_{name}"])
    doublet = recorded["predicted_doublet"].astype(int)
    failed = np.any([*flags.values(), doublet], axis=0)
    np.testing.assert_array_equal(failed, recorded[f"thr{threshold}/total_qc"])
    expected = json.loads(str(recorded[f"thr{threshold}/thresholds"]))
    assert limits == {name: expected[f"thr_qc_{name}"] for name in quality.METRICS}


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_metrics_by_hand(form):
    counts = np.array([[1, 2, 3, 4, 5, 5, 0], [0, 0, 0, 0, 0, 0, 0]], np.uint8)
    metrics = quality.quality_metrics(form(counts), GENES)
    assert metrics["UMI_count"].tolist() == [20, 0]
    assert metrics["ngenes"].tolist() == [6, 0]
    assert metrics["pct_counts_mt"].tolist() == [5, 0]
    assert metrics["pct_counts_ribo"].tolist() == [25, 0]
    assert metrics["pct_counts_hb"].tolist() == [20, 0]  # HBP1 is no haemoglobin


def test_a_metric_that_is_the_same_everywhere_fails_nobody():
    flags, limits = quality.quality_flags(
        {"ngenes": np.full(9, 4.0), "pct_counts_mt": np.zeros(9)}, 3.0
    )
    assert not flags["ngenes"].any() and not flags["pct_counts_mt"].any()
    assert limits == {"ngenes": 4.0, "pct_counts_mt": 0.0}


def test_scrublet_that_cannot_run_says_how_to_leave_it_out():
    with pytest.raises(DataError, match=r"on 3 cells.*scrublet=off"):
        quality.predicted_doublets(np.ones((3, 2), np.uint8), seed=0)


def test_scrublet_finds_sums_of_two_cells():
    pytest.importorskip("skimage", reason="Scrublet needs scikit-image")
    rng = np.random.default_rng(0)
    profile = np.exp(rng.normal(0, 1.5, (3, 200)))
    counts = rng.poisson(profile[rng.integers(3, size=600)])
    counts[:40] += counts[rng.integers(40, 600, size=40)]
    flags = quality.predicted_doublets(sparse.csr_matrix(counts), seed=0)
    assert set(np.unique(flags)) <= {0, 1}
    assert flags[:40].mean() > 3 * max(flags[40:].mean(), 0.01)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_metrics_are_those_of_scanpy(form):
    counts = np.random.default_rng(0).poisson(1.0, (50, len(GENES))).astype(np.uint8)
    metrics = quality.quality_metrics(form(counts), GENES)
    adata = anndata.AnnData(sparse.csr_matrix(counts, dtype=np.float32))
    for group, pattern in quality.GENE_GROUPS.items():
        adata.var[group] = [re.search(pattern, gene) is not None for gene in GENES]
    scanpy.pp.calculate_qc_metrics(
        adata, qc_vars=list(quality.GENE_GROUPS), percent_top=None, log1p=False, inplace=True
    )
    names = {"UMI_count": "total_counts", "ngenes": "n_genes_by_counts"}
    for name, values in metrics.items():
        theirs = adata.obs[names.get(name, name)].fillna(0)
        np.testing.assert_allclose(values, theirs, rtol=1e-6)


@given(st.lists(st.integers(0, 130), min_size=1, max_size=6), st.integers(0, 99))
def test_slices_are_even_in_every_label_and_the_rest_is_small(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(str)
    labels = np.random.default_rng(seed).permutation(labels)
    slices = quality.doublet_slices(labels)
    joined = not (slices == 10).any()
    for label in np.unique(labels):
        mine = slices[labels == label]
        held = np.bincount(mine, minlength=11)
        step = len(mine) // 10
        assert (held[:9] == step).all() and (np.diff(mine[mine < 10]) >= 0).all()
        assert held[9] in ((step, step + len(mine) % 10) if joined else (step,))
        assert held.sum() == len(mine)
    assert joined or (slices == 10).sum() >= 100 or (slices == 10).all()


def test_each_batch_is_judged_by_itself(monkeypatch):
    seen = []

    def scrublet(counts, seed, backend):
        seen.append((counts.toarray()[:, 0].tolist(), seed, backend))
        return (counts.toarray()[:, 0] > 2).astype(np.int8)

    monkeypatch.setattr(quality, "scrublet", scrublet)
    counts = sparse.csc_matrix(np.arange(6)[:, None])
    batch = np.array(["b", "a", "b", "a", "b", "a"])
    flags = quality.predicted_doublets(counts, 7, batch, "rapids")
    assert seen == [([1, 3, 5], 7, "rapids"), ([0, 2, 4], 7, "rapids")]
    assert flags.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.slow
def test_scrublet_on_more_cells_than_scanpy_compares_exactly_by_itself():
    """The default of scanpy 1.11.5 fails here with scipy 1.17 and pynndescent 0.7."""
    pytest.importorskip("skimage", reason="Scrublet needs scikit-image")
    rng = np.random.default_rng(0)
    counts = rng.poisson(
        np.exp(rng.normal(0, 1.5, 300)), (2800, 300)
    )  # with simulated ones, > 8192
    assert quality.predicted_doublets(sparse.csr_matrix(counts), seed=0).shape == (2800,)


def test_small_batches_get_no_doublets_and_are_named():
    raw = screen(n=320, others=200, depth=3000.0)
    raw.obs["lane"] = np.where(np.arange(320) < 12, "lane9", np.where(np.arange(320) % 2, "a", "b"))
    result = prepared(raw, scrublet="batch", batch_key="lane")
    assert "no doublets are sought in batches of obs['lane'] with fewer than 100" in notes(result)
    assert "lane9" in notes(result)
    assert not result.obs["qc_predicted_doublet"][raw.obs["lane"] == "lane9"].any()


def test_the_batch_in_which_scrublet_fails_is_named(monkeypatch):
    def fail(counts, seed, backend):
        raise DataError("Scrublet failed")

    monkeypatch.setattr(quality, "scrublet", fail)
    with pytest.raises(DataError, match="batch 'b': Scrublet failed"):
        quality.predicted_doublets(np.ones((4, 2), np.uint8), 0, np.array(["b"] * 4))
