"""Runs side by side: tables from made-up run folders, chance by simulation, and every refusal."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.evaluate.comparison.compare import (
    edge_agreement,
    metric_table,
    random_jaccard,
    read_evaluated,
    read_runs,
    scalars,
)
from gpo_vae_jax.evaluate.comparison.compare_report import write_comparison
from gpo_vae_jax.evaluate.network.edges import write_network

TREATMENTS = ["beta", "10", "NA", "zeta", "9"]  # unsorted; like numbers and like nothing
SUMMARY = {
    "run": {"name": "x", "seed": 0, "epochs": 7, "best_loss": 10.5, "data": {"n_genes": 3}},
    "settings": {"threshold": 0.5, "matched_edges": [3], "seed": 0},
    "predictive_iwelbo": {"mean": -5.0},
    "effects": {"perturbseq": {"held_out": {"model": {"pearson": 0.5, "r2": None}}}},
    "network": {
        "n_edges": 4,
        "block": {"paths": [{"length": 2, "n": 9}, {"length": 3, "n": 8}], "edges": {"n": 4}},
    },
    "curve": [
        {"set": "block", "edges": 500, "mean_wasserstein": 0.1},
        {"set": "all", "edges": 500, "mean_wasserstein": 0.2},
    ],
    "truth": None,
}


@pytest.fixture
def make_run(tmp_path):
    def make(name, probabilities=None, *, treatments=TREATMENTS, fingerprint="f", **changes):
        folder = tmp_path / name
        folder.mkdir()
        if probabilities is None:
            probabilities = np.random.default_rng(len(name)).random((5, 5))
        summary = copy.deepcopy(SUMMARY)
        for path, value in changes.items():
            *parents, last = path.split("__")
            at = summary
            for parent in parents:
                at = at[parent]
            at[last] = value
        run = {"data": {"fingerprint": fingerprint}, "treatments": treatments, "n_perturbed": 3}
        (folder / "run.json").write_text(json.dumps(run))
        (folder / "evaluation.json").write_text(json.dumps(summary))
        write_network(folder, probabilities, treatments, 3)
        return str(folder)

    return make


def test_every_number_has_a_name_and_nothing_else_has():
    found = dict(scalars(SUMMARY))
    assert found["network.block.paths.length_3.n"] == 8
    assert found["curve.set_all.edges_500.mean_wasserstein"] == 0.2
    assert found["run.best_loss"] == 10.5
    assert math.isnan(found["effects.perturbseq.held_out.model.r2"])
    assert not [name for name in found if name.startswith(("settings", "run.data", "run.seed"))]


def test_probabilities_are_read_by_name(make_run):
    probabilities = np.random.default_rng(0).random((5, 5)).round(3)
    folder = make_run("a", probabilities)
    matrix = pd.read_csv(f"{folder}/grn.csv", dtype=str, keep_default_na=False)
    order = [3, 0, 4, 2, 1]  # another order of rows and columns
    columns = ["source", *(TREATMENTS[i] for i in (1, 4, 0, 2, 3))]
    matrix.iloc[order][columns].to_csv(f"{folder}/grn.csv", index=False)
    np.testing.assert_allclose(read_evaluated(folder).probabilities, probabilities)


def test_table_has_mean_sd_and_differences_from_the_first(make_run):
    specs = [
        make_run("a"),
        make_run("bb", predictive_iwelbo__mean=-4.0, truth={"auprc": 0.25}),
        f"third={make_run('ccc', predictive_iwelbo__mean=-3.0)}",
    ]
    runs = read_runs(specs)
    assert [run.name for run in runs] == ["a", "bb", "third"]
    table = metric_table(runs).set_index("metric")
    row = table.loc["predictive_iwelbo.mean"]
    assert list(row[["a", "bb", "third", "mean", "sd"]]) == [-5, -4, -3, -4, 1]
    assert list(row[["bb - a", "third - a"]]) == [1, 2]
    assert table.loc["truth.auprc", "mean"] == 0.25
    assert np.isnan(table.loc["truth.auprc", "bb - a"])
    assert "effects.perturbseq.held_out.model.r2" not in table.index  # no run has it


def test_edges_are_compared_among_pairs_that_are_judged(make_run):
    a, b = np.zeros((5, 5)), np.zeros((5, 5))
    a[0, [1, 2]], a[1, 0], a[3, 0], a[0, 0] = 0.9, 0.8, 0.9, 0.9  # a[3]: never perturbed
    b[0, [1, 3]], b[1, 0], b[4, 0] = 0.9, 0.2, 0.9
    table = edge_agreement(read_runs([make_run("a", a), make_run("b", b)]), top=(3, 99))
    assert list(table["edges"]) == ["called", "top 2", "top 3"]
    called = table.iloc[0]
    assert (called["n_a"], called["n_b"], called["n_shared"]) == (3, 2, 1)
    assert called["jaccard"] == 1 / 4
    assert called["random_jaccard"] == pytest.approx(random_jaccard(3, 2, 12))
    top = table.iloc[2]
    assert (top["n_a"], top["n_b"], top["n_shared"]) == (3, 3, 2)  # (1, 0) is b's third
    counted = [(i, j) for i in range(3) for j in range(5) if i != j]
    expected = np.corrcoef([a[p] for p in counted], [b[p] for p in counted])[0, 1]
    assert called["pearson"] == pytest.approx(expected)


def test_a_run_agrees_with_itself_wholly(make_run):
    probabilities = np.random.default_rng(0).random((5, 5))
    folder = make_run("a", probabilities)
    table = edge_agreement(read_runs([f"one={folder}", f"two={folder}"]))
    assert (table["jaccard"] == 1).all()
    assert table[["pearson", "spearman"]].to_numpy() == pytest.approx(1)


def test_chance_is_what_random_sets_share():
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(3000):
        a, b = (set(rng.choice(30, n, replace=False)) for n in (8, 12))
        drawn.append(len(a & b) / len(a | b))
    standard_error = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - random_jaccard(8, 12, 30)) < 4 * standard_error
    assert random_jaccard(30, 30, 30) == 1
    assert random_jaccard(0, 5, 30) == 0
    assert math.isnan(random_jaccard(0, 0, 30))


def test_files_are_written_whole_and_agree(make_run, tmp_path):
    runs = read_runs([make_run("a"), make_run("bb", settings__seed=1)])
    out = tmp_path / "new" / "out"
    lines = write_comparison(runs, out)
    table = pd.read_csv(out / "compare.csv").set_index("metric")
    assert table.loc["run.epochs", "bb"] == 7
    found = json.loads((out / "compare.json").read_text())
    assert {row["metric"] for row in found["metrics"]} == set(table.index)
    assert found["baseline"] == "a" and found["edges"][0]["edges"] == "called"
    assert found["notes"] == ["note: bb was evaluated with other settings than a: seed"]
    assert found["notes"][0] in lines
    assert any(line.startswith("predictive IWELBO") for line in lines)
    for name in ("compare_edges.png", "compare_metrics.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert len(list(out.iterdir())) == 5  # nothing half written


def test_runs_that_cannot_be_compared_say_why(make_run, tmp_path):
    a = make_run("a")
    other_data = make_run("b", fingerprint="g")
    with pytest.raises(DataError, match="a and b were trained on different data"):
        read_runs([a, other_data])
    assert len(read_runs([a, other_data], different_data=True)) == 2
    other_genes = make_run("c", treatments=["beta", "10", "NA", "zeta", "new"])
    with pytest.raises(DataError, match="a and c differ in treatments, such as '9'"):
        read_runs([a, other_genes])
    with pytest.raises(DataError, match="a and d differ in treatments in their order"):
        read_runs([a, make_run("d", treatments=TREATMENTS[::-1])])
    with pytest.raises(ConfigError, match="two runs are named 'a'"):
        read_runs([a, a])
    with pytest.raises(ConfigError, match="two runs or more, not 1"):
        read_runs([a])
    with pytest.raises(DataError, match="there is no folder"):
        read_runs([a, str(tmp_path / "nosuch")])


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("run.json", "holds no run"),
        ("evaluation.json", r"scripts/evaluate\.py --workdir="),
        ("grn.csv", r"scripts/export_grn\.py --workdir="),
    ],
)
def test_folder_that_lacks_a_file_names_the_command_that_writes_it(make_run, missing, says):
    folder = make_run("a")
    (Path(folder) / missing).unlink()
    with pytest.raises(DataError, match=says):
        read_evaluated(folder)


@pytest.mark.parametrize("file", ["run.json", "evaluation.json", "grn.csv"])
def test_file_that_is_broken_names_the_folder(make_run, file):
    folder = make_run("a")
    with open(f"{folder}/{file}", "w") as broken:
        broken.write("{ no")
    with pytest.raises(DataError, match="run a: a file in .* cannot be read"):
        read_evaluated(folder)
