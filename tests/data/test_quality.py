"""Quality metrics and flags."""

import json

import numpy as np
import pytest
from scipy import sparse

from gpo_vae_jax.data import quality
from gpo_vae_jax.errors import DataError

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
    with pytest.raises(DataError, match="doublets=False"):
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
