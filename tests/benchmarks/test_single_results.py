"""The benchmarks of preparation, effects, network statistics and the start of a run still run."""

import sys

import pytest

from benchmarks import startup
from benchmarks.workers import own_process


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr(own_process, "call", lambda function, *arguments: function(*arguments))


def test_network_statistics(quick):
    (result,) = quick("network_stats")
    assert result["cells"] == 2000 and result["scipy"]["pairs_timed"] == 20
    assert result["scipy"]["edges_and_paths"] >= result["edges"] == 60
    assert max(result["largest_difference"].values()) < 1e-6
    assert result["times_faster"].keys() >= {"edges_alone", "whole_against_edges_and_paths"}
    assert 0 < result["ours"]["data_gib"] <= result["ours"]["peak_gib"]


def test_preparation(quick):
    (result,) = quick("prepare", "--only=whole")
    measured = result["preparation"]
    assert measured["within_limit"] and measured["cells"] == 4000
    assert {"extended genes", "counterfactuals", "control matching"} <= set(measured["stages_s"])
    assert result["machine"]["versions"]["numpy"]


def test_effects(quick):
    (result,) = quick("effects", "--genes=20", "--perturbed=30")
    assert result["perturbations"] == 30 and result["counts_drawn"] == 50 * 31 * 20
    assert result["peak_gib"] < 8


def test_cells_on_disk(quick, tmp_path):
    (result,) = quick("streaming", f"--folder={tmp_path}", "--rounds=1")
    kept = [(size["cells"], size["kept"]) for size in result["sizes"]]
    assert kept == [(n, where) for n in (500, 1500) for where in ("disk", "memory")]
    assert result["loader"]["published"]["bytes_per_cell"] == 60 + 60 + 4 * 12 + 20
    assert result["loader"]["accurate"]["bytes_per_cell"] == 60 + 20
    assert all(rate["median"] > 0 for rate in result["step_cells_per_s"].values())
    assert [path.name for path in tmp_path.iterdir()] == ["streaming.json"]


RUN = """
import os, pathlib, sys
workdir = pathlib.Path(sys.argv[-1].removeprefix("--workdir="))
workdir.mkdir(parents=True)
cache = os.environ["GPO_VAE_JAX_CACHE"]
warm = cache != "off" and pathlib.Path(cache).exists()
if cache != "off":
    pathlib.Path(cache).mkdir(exist_ok=True)
(workdir / "metrics.csv").write_text(f"epoch,seconds\\n0,{1 if warm else 5}\\n")
"""


def test_the_start_of_a_run():
    found = startup.measure([sys.executable, "-c", RUN], rounds=2)
    assert found["epoch_s"] == {"off": 5, "cold": 5, "warm": 1}
    assert found["warm_s"]["n"] == 2 and found["warm_s"]["median"] > 0


def test_a_run_that_fails_to_start_says_why():
    with pytest.raises(RuntimeError, match=r"(?s)failed:.*out of paper"):
        startup.measure([sys.executable, "-c", "raise SystemExit('out of paper')"], rounds=1)
