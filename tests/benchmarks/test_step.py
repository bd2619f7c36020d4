"""The benchmark of a step runs, and compares with a worker of the same protocol."""

import json

import pytest

from benchmarks import floor
from benchmarks.shapes import SHAPES
from tests.benchmarks.programs import FAKE_TORCH, entries, run


@pytest.mark.slow
def test_a_step_beside_a_worker_that_takes_half_a_second(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(FAKE_TORCH)
    results = tmp_path / "results"
    run("step.py", "--quick", "--results", results, "--torch-worker", worker)
    (entry,) = entries(results, "step")
    assert (entry["shape"], entry["device"], entry["precision"]) == ("tiny", "cpu", "float32")
    assert entry["torch"]["step_s"]["median"] == 0.5 and entry["torch"]["peak_gib"] == 100
    assert entry["times_faster"] > 1 and 0 < entry["memory_share"] < 1
    assert entry["jax"]["step_s"]["n"] == 2 and entry["jax"]["compile_s"] > 0
    assert entry["jax"]["peak_gib"] > entry["jax"]["above_data_gib"] > 0
    assert entry["floor"]["floor_s"] < entry["jax"]["step_s"]["median"]
    assert 0 < entry["floor"]["share_reached"] < 1
    assert entry["machine"]["versions"]["jax"] and entry["machine"]["commit"]


def test_a_quick_run_without_a_folder_writes_nothing(tmp_path):
    before = {p: p.stat().st_mtime for p in _results()}
    done = run("step.py", "--quick", "--no-torch", "--rounds=1")
    assert json.loads(done.stdout)["step"]["shape"] == "tiny"
    assert {p: p.stat().st_mtime for p in _results()} == before


def _results():
    from benchmarks.results_file import FOLDER

    return list(FOLDER.iterdir())


@pytest.mark.parametrize(("name", "gflop", "within"), [("rpe1", 105, 3), ("k562", 205, 5)])
def test_the_floor_counts_the_products(name, gflop, within):
    assert abs(floor.flop(SHAPES[name]) / 1e9 - gflop) <= within


@pytest.mark.parametrize(("name", "expected"), [("rpe1", 8_783_233), ("k562", 12_333_934)])
def test_parameters_are_counted(name, expected):
    assert floor.n_parameters(SHAPES[name]) == expected


def test_the_memory_traffic_of_a_step():
    expected = 4 * (6 * 5 * 512 * 8749 + 7 * 8_783_233)
    assert floor.traffic_bytes(SHAPES["rpe1"]) == expected
    assert floor.floor_s(SHAPES["rpe1"], 1e30, bytes_per_s=1e9) == expected / 1e9


def test_products_are_written_as_a_table():
    done = run("floor.py", "--rate", "--small")
    assert "| decoder head | logits of all genes | 2,560 x 400 x 8,749 | 1 | 17.92 |" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["gflop_per_s"].keys() == {"jax", "numpy"}
