"""Results depend on cell names, not on row order; the seed only changes what is drawn."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpo_vae_jax.config import PrepareConfig, SimulateConfig
from gpo_vae_jax.data import prepare, simulate

CONFIGS = {
    "plain": PrepareConfig(extended_log_fold_change=1.0),
    "filters": PrepareConfig(
        extended_log_fold_change=1.0, knockdown=True, min_cells=6, unmeasured="keep", matching="hpm"
    ),
    "farthest": PrepareConfig(extended_genes="none", matching="wd", qc_threshold=2.5),
}


@pytest.fixture(scope="module")
def raw():
    """Return counts where one perturbed gene is not measured and another has few cells."""
    adata = simulate(
        SimulateConfig(
            n_cells=420, n_genes=40, n_perturbed=5, n_extended=3, fail_fraction=0.15,
            double_fraction=0.2,
        )
    )  # fmt: skip
    perturbed = sorted(adata.var_names[adata.var["perturbed"]])
    rare = np.flatnonzero(adata.obs["perturbation"] == perturbed[1])[5:]
    adata = adata[np.setdiff1d(np.arange(adata.n_obs), rare)].copy()
    return adata[:, adata.var_names != perturbed[0]].copy()


@pytest.fixture(scope="module")
def results(raw):
    return {name: prepare(raw, config) for name, config in CONFIGS.items()}


def assert_same(one, two):
    """Compare everything; the rows are in the same order already."""
    assert one.obs.equals(two.obs) and one.var.equals(two.var)
    assert one.obsm["delta_x"].tobytes() == two.obsm["delta_x"].tobytes()
    for have, want in (
        (one.X, two.X),
        (one.layers["counterfactual"], two.layers["counterfactual"]),
    ):
        for part in ("data", "indices", "indptr"):
            assert getattr(have, part).tobytes() == getattr(want, part).tobytes()
    for key, value in one.uns["gpo_vae"].items():
        np.testing.assert_array_equal(value, two.uns["gpo_vae"][key], err_msg=key)


def test_the_stages_do_something(results):
    stages = {s["stage"]: s for s in json.loads(results["filters"].uns["gpo_vae"]["stages"])}
    for name in ("knock-down", "minimum cells"):
        assert stages[name]["cells"][0] > stages[name]["cells"][1]
    assert len(stages["measured genes"]["not_measured"]) == 1
    assert stages["extended genes"]["genes"] > 0
    assert 0 < results["plain"].obs["qc_fail_5"].sum() < results["plain"].obs["qc_fail"].sum()


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_shuffled_cells_give_the_same_by_name(raw, results, name, seed):
    order = np.random.default_rng(seed).permutation(raw.n_obs)
    shuffled = prepare(raw[order].copy(), CONFIGS[name])
    expected = results[name]
    kept = [cell for cell in raw.obs_names[order] if cell in set(expected.obs_names)]
    assert list(shuffled.obs_names) == kept
    assert_same(shuffled, expected[kept].copy())


@pytest.mark.parametrize("name", CONFIGS)
def test_twice_is_byte_identical(raw, results, name):
    assert_same(prepare(raw, CONFIGS[name]), results[name])


def test_another_seed_draws_other_splits_and_counterfactuals_and_nothing_else(raw, results):
    expected = results["plain"]
    other = prepare(raw, dataclasses.replace(CONFIGS["plain"], seed=1))
    drawn = {"split", "matched_control"}  # matches are sought within the split
    assert (other.obs["split"] != expected.obs["split"]).any()
    for column in set(expected.obs) - drawn:
        assert other.obs[column].equals(expected.obs[column]), column
    assert (other.X != expected.X).nnz == 0
    assert list(other.uns["gpo_vae"]["dosage_names"]) == list(
        expected.uns["gpo_vae"]["dosage_names"]
    )
    assert (other.layers["counterfactual"] != expected.layers["counterfactual"]).nnz


def test_doublets_are_sought_before_any_filter_and_follow_the_names():
    pytest.importorskip("skimage", reason="Scrublet needs scikit-image")
    adata = simulate(SimulateConfig(n_cells=500, n_genes=300, n_perturbed=4))
    adata.obs["lane"] = np.arange(500) % 2
    config = PrepareConfig(scrublet="batch", batch_key="lane", knockdown=True)
    expected = prepare(adata, config)
    found = expected.obs["qc_predicted_doublet"]
    stages = {s["stage"]: s for s in json.loads(expected.uns["gpo_vae"]["stages"])}
    assert stages["doublets"]["found"] > found.sum() > 0 and expected.n_obs < 500
    assert (expected.obs["qc_fail"] >= found).all()
    order = np.random.default_rng(0).permutation(500)
    shuffled = prepare(adata[order].copy(), config)
    assert shuffled.obs.equals(expected.obs.loc[shuffled.obs_names])
