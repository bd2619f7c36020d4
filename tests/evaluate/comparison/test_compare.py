"""Evaluations side by side: tables of made-up runs, chance by simulation, and every refusal."""

import copy
import json
import math

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.evaluate.comparison.compare import (
    EvaluatedRun,
    compare,
    edge_agreement,
    metric_table,
    random_jaccard,
)
from gpo_vae_jax.evaluate.comparison.compare_files import comparison_table, write_comparison
from gpo_vae_jax.evaluate.summary_numbers import numbers

TREATMENTS = ["beta", "10", "NA", "zeta", "9"]  # unsorted; like numbers and like nothing
SUMMARY = {
    "run": {"name": "x", "seed": 0, "epochs": 7, "best_loss": 10.5, "data": {"fingerprint": "f"}},
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


def run(name, probabilities=None, *, treatments=TREATMENTS, **changes):
    if probabilities is None:
        probabilities = np.random.default_rng(len(name)).random((5, 5))
    summary = copy.deepcopy(SUMMARY)
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = summary
        for parent in parents:
            at = at[parent]
        at[last] = value
    return EvaluatedRun(name, summary, tuple(treatments), 3, probabilities)


def test_every_number_has_a_name_and_nothing_else_has():
    found = numbers(SUMMARY)
    assert found["network.block.paths.length_3.n"] == 8
    assert found["curve.set_all.edges_500.mean_wasserstein"] == 0.2
    assert found["run.best_loss"] == 10.5
    assert math.isnan(found["effects.perturbseq.held_out.model.r2"])
    assert not [name for name in found if name.startswith(("settings", "run.data", "run.seed"))]


def test_table_has_mean_sd_and_differences_from_the_first():
    runs = [
        run("a"),
        run("bb", predictive_iwelbo__mean=-4.0, truth={"auprc": 0.25}),
        run("third", predictive_iwelbo__mean=-3.0),
    ]
    table = metric_table(runs).set_index("metric")
    row = table.loc["predictive_iwelbo.mean"]
    assert row["label"] == "Predictive IWELBO"
    assert list(row[["a", "bb", "third", "mean", "sd"]]) == [-5, -4, -3, -4, 1]
    assert list(row[["bb - a", "third - a"]]) == [1, 2]
    assert table.loc["truth.auprc", "mean"] == 0.25
    assert np.isnan(table.loc["truth.auprc", "bb - a"])
    assert table.loc["truth.auprc", "bb vs a"] == ""
    assert "effects.perturbseq.held_out.model.r2" not in table.index  # no run has it


def test_best_and_worse_follow_the_direction_of_the_metric():
    table = metric_table([run("a"), run("b", run__best_loss=9.5, network__n_edges=9)])
    table = table.set_index("metric")
    loss, edges = table.loc["run.best_loss"], table.loc["network.n_edges"]
    assert (loss["better"], loss["best"], loss["b vs a"]) == ("lower", "b", "better")
    assert (edges["better"], edges["best"], edges["b vs a"]) == ("", "", "")
    assert table.loc["predictive_iwelbo.mean", "best"] == ""  # equal
    lines = comparison_table(compare([run("a"), run("b", run__best_loss=9.5)])).splitlines()
    loss = next(line for line in lines if line.startswith("Validation loss"))
    assert loss.split()[2:] == ["10.5", "9.5", "*", "-1", "better"]


def test_edges_are_compared_among_pairs_that_are_judged():
    a, b = np.zeros((5, 5)), np.zeros((5, 5))
    a[0, [1, 2]], a[1, 0], a[3, 0], a[0, 0] = 0.9, 0.8, 0.9, 0.9  # a[3]: never perturbed
    b[0, [1, 3]], b[1, 0], b[4, 0] = 0.9, 0.2, 0.9
    table = edge_agreement([run("a", a), run("b", b)], top=(3, 99))
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


def test_a_run_agrees_with_itself_wholly():
    probabilities = np.random.default_rng(0).random((5, 5))
    table = edge_agreement([run("one", probabilities), run("two", probabilities)])
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


def test_a_comparison_shows_its_main_metrics():
    comparison = compare([run("a"), run("b", run__best_loss=9.5)])
    assert comparison.table.loc["Validation loss"].tolist() == [10.5, 9.5, "lower", "b"]
    assert "Predictive IWELBO" in repr(comparison)
    assert "<table" in comparison._repr_html_()


def test_files_are_written_whole_and_agree(tmp_path):
    comparison = compare([run("a"), run("bb", settings__seed=1, run__best_loss=9.0)])
    out = tmp_path / "new" / "out"
    paths = write_comparison(comparison, out)
    table = pd.read_csv(out / "compare.csv").set_index("metric")
    assert table.loc["run.epochs", "bb"] == 7
    assert table.loc["run.best_loss", "best"] == "bb"
    found = json.loads((out / "compare.json").read_text())
    assert {row["metric"] for row in found["metrics"]} == set(table.index)
    assert found["baseline"] == "a"
    assert found["edges"][0]["edges"] == "called"
    assert found["notes"] == ["note: bb was evaluated with other settings than a: seed"]
    for name in ("compare_edges.png", "compare_metrics.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert sorted(out.iterdir()) == sorted(paths)  # nothing half written


@pytest.mark.parametrize("n_runs", [2, 3, 9])
def test_the_terminal_table_fits_80_columns(n_runs):
    comparison = compare([run(f"run{i}", quality={"observed": {"3": 0.5}}) for i in range(n_runs)])
    lines = comparison_table(comparison).splitlines()
    assert max(map(len, lines)) <= 80
    shown = " ".join(lines)
    assert all(f"run{i} " in shown for i in range(n_runs))
    assert "QC pass rate, 3 MADs, observed libraries" in shown


def test_runs_that_cannot_be_compared_say_why():
    a = run("a")
    other_data = run("b", run__data={"fingerprint": "g"})
    with pytest.raises(DataError, match="a and b were trained on different data"):
        compare([a, other_data])
    noted = compare([a, other_data], different_data=True)
    assert noted.notes == ("note: b was trained on other data than a",)
    other_genes = run("c", treatments=["beta", "10", "NA", "zeta", "new"])
    with pytest.raises(DataError, match="a and c differ in treatments, such as '9'"):
        compare([a, other_genes])
    with pytest.raises(DataError, match="a and d differ in treatments in their order"):
        compare([a, run("d", treatments=TREATMENTS[::-1])])
    with pytest.raises(ConfigError, match="two runs are named 'a'"):
        compare([a, a])
    with pytest.raises(ConfigError, match="two runs or more, not 1"):
        compare([a])
    with pytest.raises(ConfigError, match="cannot be named 'mean'"):
        compare([a, run("mean")])
