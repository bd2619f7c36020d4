"""Published files: their annotation, extended genes and matches are reused."""

import json

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.config import PrepareConfig, SimulateConfig
from gpo_vae_jax.data import from_anndata, prepare, simulate
from gpo_vae_jax.data.prepare.raw.published_columns import matched_rows
from gpo_vae_jax.errors import DataError

CONFIG = PrepareConfig(split="reference", strong_table="absent.xlsx", knockdown=True, min_cells=99)


@pytest.fixture(scope="module")
def published():
    """Return simulated counts with recorded columns that no computation would produce."""
    adata = simulate(SimulateConfig(n_cells=300, n_genes=40, n_perturbed=4, fail_fraction=0.1))
    rng = np.random.default_rng(0)
    n = adata.n_obs
    adata.obs["UMI_count"] = rng.integers(1000, 2000, n)
    adata.obs["ngenes"] = rng.integers(10, 40, n)
    for group in ("mt", "ribo", "hb"):
        adata.obs[f"pct_counts_{group}"] = rng.random(n)
    adata.obs["predicted_doublet"] = pd.Categorical(np.where(rng.random(n) < 0.1, "True", "False"))
    controls = np.flatnonzero(adata.obs["perturbation"] == "non-targeting")
    adata.obs["matched_ctrl_idx"] = adata.obs_names[rng.choice(controls, n)]
    extended = ~adata.var["perturbed"] & (np.arange(40) % 7 == 0)
    adata.var["FC3"] = extended | (np.arange(40) % 5 == 0)
    adata.var["FC2"] = True
    return adata


def test_records_are_used_and_filters_are_not(published):
    said = []
    result = prepare(published, CONFIG, said.append)
    obs = result.obs
    assert list(obs["matched_control"]) == list(published.obs["matched_ctrl_idx"])
    assert (obs["UMI_count"] == published.obs["UMI_count"]).all()
    doublet = published.obs["predicted_doublet"] == "True"
    assert (obs["qc_predicted_doublet"] == doublet).all() and obs["qc_fail"][doublet].all()
    record = result.uns["gpo_vae"]
    n = record["n_perturbed"]
    flagged = published.var["FC3"] & ~published.var["perturbed"]
    assert set(record["dosage_names"][n:]) == set(published.var_names[flagged])
    stages = {done["stage"]: done for done in json.loads(record["stages"])}
    assert stages["control matching"]["by"] == stages["extended genes"]["by"] == "record"
    assert not {"strong perturbations", "knock-down", "minimum cells"} & set(stages)
    notes = json.loads(record["notes"])
    assert any("read as cell names" in note for note in notes) and f"note: {notes[0]}" in said
    assert stages["control matching"]["in_another_split"] > 0
    assert from_anndata(result).n_perturbed == 4


def test_row_numbers_give_the_same(published):
    names = prepare(published, CONFIG)
    other = published.copy()
    other.obs["matched_ctrl_idx"] = other.obs_names.get_indexer(other.obs["matched_ctrl_idx"])
    numbers = prepare(other, CONFIG)
    assert (numbers.obs["matched_control"] == names.obs["matched_control"]).all()
    np.testing.assert_array_equal(numbers.obsm["delta_x"], names.obsm["delta_x"])
    assert "row numbers" in numbers.uns["gpo_vae"]["notes"]


@pytest.mark.parametrize("settings", [{"recorded": "nothing"}, {"recorded": "all_but_matches"}])
def test_records_can_be_left_aside(published, settings):
    config = PrepareConfig(**settings)
    result = prepare(published, config)
    assert list(result.obs["matched_control"]) != list(published.obs["matched_ctrl_idx"])
    same = (result.obs["UMI_count"] == published.obs["UMI_count"]).all()
    assert same == (settings["recorded"] != "nothing")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda obs: obs.index[obs["perturbation"] != "non-targeting"][0],
            "1 of 300 matches are not control cells",
        ),
        (lambda obs: "nobody", "'nobody' and others are neither cell names nor row numbers"),
        (lambda obs: len(obs), "neither cell names nor row numbers"),
    ],
    ids=["no control", "no cell", "beyond"],
)
def test_matches_that_are_no_controls_are_computed_anew(published, change, reason):
    other = published.copy()
    values = other.obs["matched_ctrl_idx"].to_numpy().astype(object)
    values[7] = str(change(other.obs))
    other.obs["matched_ctrl_idx"] = values
    result = prepare(other, CONFIG)
    assert reason in result.uns["gpo_vae"]["notes"]
    assert (result.obs["matched_control"] != published.obs["matched_ctrl_idx"]).any()
    from_anndata(result)


def test_one_reading_of_numbers_as_names_must_lead_to_controls():
    names = np.array(["2", "0", "1"])  # cell names that are numbers of other rows
    values, control = np.array([0, 0, 0]), np.array([False, True, False])
    rows, how = matched_rows(values, names, control)
    assert rows.tolist() == [1, 1, 1] and how == "cell names"
    rows, how = matched_rows(values, names, np.array([True, False, False]))
    assert rows.tolist() == [0, 0, 0] and how == "row numbers"


BROKEN = {
    "text": (lambda a: a.obs.assign(ngenes="many"), {}, "'ngenes'.* is not numeric"),
    "nan": (lambda a: a.obs.assign(ngenes=np.nan), {}, "'ngenes'.* missing or infinite"),
    "doublets": (
        lambda a: a.obs.assign(predicted_doublet=2),
        {},
        "has the value '2', not true or false",
    ),
    "two columns": (lambda a: a.obs.assign(matched_control="c"), {}, "several obs columns"),
    "no column": (lambda a: a.obs, {"matched_key": "m"}, "matched_key: obs has no column 'm'"),
    "no such FC": (lambda a: a.obs, {"extended_log_fold_change": 4}, "no column 'FC4', only FC2"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_records_of_the_wrong_type(published, case):
    change, settings, message = BROKEN[case]
    other = published.copy()
    other.obs = change(other)
    with pytest.raises(DataError, match=message):
        prepare(other, PrepareConfig(**settings))


def test_a_file_without_the_signature_has_no_records(published):
    other = published.copy()
    del other.var["FC3"], other.var["FC2"]
    result = prepare(other, PrepareConfig())
    assert (result.obs["UMI_count"] != published.obs["UMI_count"]).any()
