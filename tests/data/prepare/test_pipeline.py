"""The whole preparation, and the round trip through a prepared file."""

import dataclasses
import json

import anndata
import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpo_vae_jax.config import Config, DataConfig, PrepareConfig, SimulateConfig
from gpo_vae_jax.data import from_anndata, from_config, load, prepare, simulate, summary, write
from gpo_vae_jax.data.prepare.matching.control_matching import match_controls
from gpo_vae_jax.errors import DataError

SIMULATED = SimulateConfig(
    n_cells=500, n_genes=50, n_perturbed=5, n_extended=3, fail_fraction=0.15, double_fraction=0.2
)
CONFIG = PrepareConfig(extended_log_fold_change=1.0)


@pytest.fixture(scope="module")
def raw():
    return simulate(SIMULATED)


@pytest.fixture(scope="module")
def prepared(raw):
    return prepare(raw, CONFIG)


def test_stages_agree_with_their_definitions(raw, prepared):
    record, obs = prepared.uns["gpo_vae"], prepared.obs
    assert list(prepared.obs_names) == list(raw.obs_names)
    np.testing.assert_array_equal(prepared.X.toarray(), raw.X.toarray())
    names = list(record["dosage_names"])
    n = record["n_perturbed"]
    assert names[:n] == sorted(names[:n]) and names[n:] == sorted(names[n:])
    assert set(names[:n]) == set(raw.var_names[raw.var["perturbed"]])
    assert len(names) > n  # strong effects: some genes are extended
    matched = prepared.obs_names.get_indexer(obs["matched_control"])
    assert (obs["perturbation"].to_numpy()[matched] == "non-targeting").all()
    assert (obs["split"].to_numpy()[matched] == obs["split"]).all()
    counts = raw.X.toarray().astype(float)
    library = counts.sum(axis=1)
    expression = pd.DataFrame(
        np.log1p(counts * (np.median(library) / library)[:, None]), columns=raw.var_names
    )[names].to_numpy()
    np.testing.assert_allclose(
        prepared.obsm["delta_x"], np.abs(expression - expression[matched]), atol=1e-5
    )
    by_name = np.argsort(prepared.obs_names, kind="stable")
    label = obs["perturbation"].astype(str).to_numpy()[by_name]
    group = np.unique(label, return_inverse=True)[1]
    cells = (group, obs["split"].astype(str).to_numpy()[by_name], label == "non-targeting")
    expected = match_controls(expression[by_name, :n], *cells)
    np.testing.assert_array_equal(matched[by_name], by_name[expected])
    assert (expected != match_controls(expression[by_name], *cells)).any()  # extended: no part
    flags = obs[[c for c in obs if c.startswith("qc_") and not c.startswith("qc_fail")]]
    assert (flags.any(axis=1) == obs["qc_fail"].astype(bool)).all()
    thresholds = json.loads(record["thresholds"])
    assert list(thresholds) == ["3", "4", "5"]
    assert (flags["qc_ngenes"] == (obs["ngenes"] < thresholds["3"]["ngenes"])).all()
    for k in ("4", "5"):
        low = [obs[name] < thresholds[k][name] for name in ("UMI_count", "ngenes")]
        high = [obs[name] > thresholds[k][name] for name in obs if name.startswith("pct_")]
        assert (np.any(low + high, axis=0) == obs[f"qc_fail_{k}"]).all()


def test_the_counterfactual_is_an_observed_value_of_a_failed_cell(prepared):
    obs = prepared.obs
    counts, cf = prepared.X.toarray(), prepared.layers["counterfactual"].toarray()
    for (_, _), rows in obs.groupby(["perturbation", "split"], observed=True).indices.items():
        sources = counts[rows][obs["qc_fail"].to_numpy()[rows] == 1]
        if not len(sources):
            assert not cf[rows].any()
        for gene in range(0, 50, 7):
            assert set(cf[rows, gene]) <= (set(sources[:, gene]) or {0})


def test_settings_counts_and_versions_are_recorded(raw, prepared):
    record = prepared.uns["gpo_vae"]
    restored = json.loads(record["settings"])
    assert restored == json.loads(json.dumps(dataclasses.asdict(CONFIG)))
    tally = json.loads(record["counts"])
    assert tally["cells_in_input"] == tally["cells_kept"] == 500
    assert tally["cells_failed_quality"] == prepared.obs["qc_fail"].sum()
    assert ("cells train", "320") in summary(prepared)
    assert "numpy" in json.loads(record["versions"])


def test_twice_is_the_same_and_the_input_is_left_alone(raw, prepared):
    before = raw.copy()
    again = prepare(raw, CONFIG)
    assert raw.obs.equals(before.obs) and (raw.X != before.X).nnz == 0 and not raw.layers
    assert again.obs.equals(prepared.obs)
    assert again.obsm["delta_x"].tobytes() == prepared.obsm["delta_x"].tobytes()
    for name in ("data", "indices", "indptr"):
        have = getattr(again.layers["counterfactual"], name)
        assert have.tobytes() == getattr(prepared.layers["counterfactual"], name).tobytes()


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_shuffled_cells_give_the_same_by_name(raw, prepared, seed):
    order = np.random.default_rng(seed).permutation(raw.n_obs)
    shuffled = prepare(raw[order].copy(), CONFIG)
    assert list(shuffled.obs_names) == list(raw.obs_names[order])
    assert shuffled.obs.equals(prepared.obs.iloc[order])
    np.testing.assert_array_equal(shuffled.obsm["delta_x"], prepared.obsm["delta_x"][order])
    difference = shuffled.layers["counterfactual"] != prepared.layers["counterfactual"][order]
    assert difference.nnz == 0
    assert shuffled.uns["gpo_vae"]["counts"] == prepared.uns["gpo_vae"]["counts"]


def test_another_seed_changes_only_what_is_random(raw):
    """If the data has a split, the seed only changes the counterfactual draws."""
    split = np.array(["train", "train", "val", "test"])[np.arange(raw.n_obs) % 4]
    raw = raw.copy()
    raw.obs["fold"] = split
    config = dataclasses.replace(CONFIG, split_key="fold")
    one, two = prepare(raw, config), prepare(raw, dataclasses.replace(config, seed=1))
    assert (one.obs["split"].astype(str) == split).all()
    assert one.obs.equals(two.obs)
    np.testing.assert_array_equal(one.obsm["delta_x"], two.obsm["delta_x"])
    assert (one.layers["counterfactual"] != two.layers["counterfactual"]).nnz > 0


def test_dense_counts_in_a_layer_give_the_same(raw, prepared):
    other = anndata.AnnData(
        np.log1p(raw.X.toarray()), obs=raw.obs, var=raw.var, layers={"raw": raw.X.toarray()}
    )
    with pytest.raises(DataError, match="not whole numbers"):
        prepare(anndata.AnnData(other.X, other.obs, other.var), CONFIG)
    result = prepare(other, dataclasses.replace(CONFIG, layer="raw"))
    assert result.obs.equals(prepared.obs)
    np.testing.assert_array_equal(result.X, prepared.X.toarray())
    np.testing.assert_array_equal(
        result.layers["counterfactual"], prepared.layers["counterfactual"].toarray()
    )


def test_gears_labels_are_combinations_without_the_control():
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {"condition": np.tile(["ctrl", "A+ctrl", "B+A", "A+B", "ctrl+B", "Z+ctrl"], 60)},
        index=[f"c{i}" for i in range(360)],
    )
    raw = anndata.AnnData(
        rng.poisson(9.0, (360, 4)), obs=obs, var=pd.DataFrame(index=["B", "C", "A", "D"])
    )
    config = PrepareConfig(perturbation_key="condition", control="ctrl", unmeasured="drop")
    result = prepare(raw, config)
    assert set(result.obs["perturbation"]) == {"ctrl", "A", "A+B", "B"}
    assert set(result.obs["condition"]) == {"ctrl", "A+ctrl", "B+A", "A+B", "ctrl+B"}
    stages = {done["stage"]: done for done in json.loads(result.uns["gpo_vae"]["stages"])}
    assert stages["measured genes"]["not_measured"] == ["Z"]
    assert stages["measured genes"]["cells"] == [360, 300]
    dataset = from_anndata(result)
    assert dataset.treatments == ("A", "B") and dataset.splits["train"].cells.dosage.shape[1] == 2


def test_rare_perturbations_are_left_out(raw):
    sizes = raw.obs["perturbation"].astype(str).value_counts()
    least = int(sizes.drop("non-targeting").median())
    result = prepare(raw, dataclasses.replace(CONFIG, min_cells=least))
    kept = set(result.obs["perturbation"])
    assert kept == {n for n, size in sizes.items() if size > least or n == "non-targeting"}
    assert result.n_obs == sizes[list(kept)].sum() < raw.n_obs


def test_a_metric_that_alone_fails_many_cells_is_left_out():
    rng = np.random.default_rng(0)
    raw = anndata.AnnData(
        rng.poisson([20, 20, 0.3], (200, 3)),
        obs=pd.DataFrame(
            {"perturbation": np.tile(["A", "non-targeting"], 100)},
            index=[f"c{i}" for i in range(200)],
        ),
        var=pd.DataFrame(index=["A", "B", "HBB"]),
    )
    said = []
    prepared = prepare(raw, PrepareConfig(), said.append)
    assert any("pct_counts_hb alone fails" in text and "left out" in text for text in said)
    assert "qc_pct_counts_hb" not in prepared.obs and "pct_counts_hb" in prepared.obs
    assert "pct_counts_hb" not in json.loads(prepared.uns["gpo_vae"]["thresholds"])["3"]
    said = []
    prepared = prepare(raw, PrepareConfig(qc_largest_share=1.0), said.append)
    assert any("pct_counts_hb alone fails" in text and "qc_metrics" in text for text in said)
    assert prepared.obs["qc_pct_counts_hb"].mean() > 0.2
    said = []
    prepare(raw, PrepareConfig(qc_metrics=("UMI_count",)), said.append)
    assert said and not any("alone fails" in text for text in said)


def test_written_and_loaded_it_is_the_same(prepared, tmp_path):
    path = tmp_path / "prepared.h5ad"
    write(prepared, path)
    assert [p.name for p in tmp_path.iterdir()] == ["prepared.h5ad"]
    loaded, direct = load(path), from_anndata(prepared)
    assert loaded.treatments == direct.treatments and loaded.genes == direct.genes
    np.testing.assert_array_equal(loaded.true_network, direct.true_network)
    assert (loaded.true_network != 0).sum() > 3
    for name in direct.splits:
        np.testing.assert_array_equal(loaded.cells[name], direct.cells[name])
        both = (jax.tree.leaves(d.splits[name].cells) for d in (loaded, direct))
        for have, want in zip(*both, strict=True):
            np.testing.assert_array_equal(have, want)
            assert have.dtype == want.dtype
    for name in direct.tables:
        np.testing.assert_array_equal(loaded.tables[name], direct.tables[name])


def test_a_run_that_asks_for_it_gets_simulated_data():
    config = Config(data=DataConfig(simulated=True), simulate=SIMULATED, prepare=CONFIG)
    dataset = from_config(config)
    assert dataset.true_network is not None
    assert sum(len(names) for names in dataset.cells.values()) == 500


def test_a_run_without_data_says_what_to_name(prepared, tmp_path):
    with pytest.raises(DataError, match="no data: name a prepared file"):
        from_config(Config())
    write(prepared, tmp_path / "p.h5ad")
    dataset = from_config(Config(data=DataConfig(path=str(tmp_path / "p.h5ad"))))
    assert dataset.genes == tuple(prepared.var_names)
