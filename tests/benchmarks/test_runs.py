"""The benchmarks of whole runs still run, at tiny sizes, and give numbers that fit together."""

import math
import shutil

import pytest

from benchmarks import results_file
from tests.benchmarks import example_results
from tests.benchmarks.programs import entries, run


def quick(program, results, *options):
    run(f"{program}.py", "--quick", "--results", results, "--rounds=1", *options)
    (entry,) = entries(results, {"profile_step": "profile"}.get(program, program))
    assert entry["device"] == "cpu" and entry["precision"] == "float32"
    assert entry["machine"]["versions"]["jax"]
    return entry


@pytest.mark.slow
def test_cost_against_size(tmp_path):
    entry = quick("sizes", tmp_path, "--only", "genes")
    (line,) = entry["lines"].values()
    assert [(p["factor"], p["value"]) for p in line] == [(0.25, 15), (0.5, 30), (1, 60)]
    assert line[0]["gflop"] < line[1]["gflop"] < line[2]["gflop"]
    growth = entry["growth"]["genes"]
    assert 1 < growth["products"] < growth["at_most"] == 4 and growth["times"] > 0


@pytest.mark.slow
def test_an_epoch(tmp_path):
    tiny = example_results.step("tiny", "cpu", "float32")
    (tmp_path / "step.json").write_text(example_results.json.dumps([tiny]))
    entry = quick("epoch", tmp_path)
    assert (entry["train_cells"], entry["validation_cells"], entry["steps"]) == (384, 96, 6)
    assert entry["all_cells"] and math.isfinite(entry["loss"])
    whole, validation = entry["epoch_s"]["median"], entry["validation_s"]["median"]
    assert entry["validation_share"] == pytest.approx(validation / whole, rel=1e-2)
    parts = 6 * entry["step_s"]["median"] + validation
    assert entry["rest_s"] == pytest.approx(whole - parts, rel=1e-2, abs=1e-5)
    beside = entry["torch_extrapolated"]
    assert beside["training_s"] == pytest.approx(6 * tiny["torch"]["step_s"]["median"], rel=1e-3)


def test_too_little_memory_means_fewer_cells(monkeypatch):
    from benchmarks import epoch, memory
    from benchmarks.shapes import SHAPES

    monkeypatch.setattr(memory, "available_gib", lambda: 64.0)
    assert epoch.n_cells(SHAPES["rpe1"], None) == (58_810, 14_703)
    monkeypatch.setattr(memory, "available_gib", lambda: 4.0)
    train, validation = epoch.n_cells(SHAPES["rpe1"], None)
    assert 8_000 < train < 14_000 and validation == pytest.approx(train / 4, abs=1)


@pytest.mark.slow
def test_precision(tmp_path):
    run("precision.py", "--quick", "--results", tmp_path)
    exact, tf32, bf16 = (
        results_file.find(entries(tmp_path, "precision"), precision=name)
        for name in ("float32", "tf32", "bf16")
    )
    assert exact["first_loss_apart"] == exact["edges_that_differ"] == 0
    assert exact["probabilities_correlate"] == 1
    assert 0 < tf32["first_loss_apart"] < bf16["first_loss_apart"] < 1e-2


def test_evaluation(tmp_path):
    entry = quick("evaluate", tmp_path, "--cells=100", "--particles=7")
    assert (entry["cells"], entry["particles"], entry["test_cells"]) == (100, 7, 120)
    assert entry["cells_per_s"]["median"] > 0 and math.isfinite(entry["mean_score"])


@pytest.mark.slow
def test_seeds(tmp_path):
    entry = quick("seeds", tmp_path)
    assert entry["seeds"] == 2 and entry["largest_difference_of_losses"] < 1e-3
    assert entry["times_faster"] > 0


@pytest.mark.slow
def test_parts_of_a_step(tmp_path):
    entry = quick("profile_step", tmp_path)
    parts = {part["part"]: part for part in entry["parts"]}
    assert parts["embedding encoder"]["calls"] == 2 and parts["decoder head"]["gflop"] > 0
    assert "with_gradient_s" not in parts["noise"]
    total = sum(part["in_step_s"] for part in parts.values())
    assert entry["sum_of_parts_s"] == pytest.approx(total, rel=1e-3)
    assert entry["whole_s"]["median"] > 0
    assert all(part["floor_s"] > 0 and part["gb"] > 0 for part in parts.values())
    shutil.rmtree(tmp_path / "page", ignore_errors=True)
    run("render.py", "--results", tmp_path, "--output", tmp_path / "page")
    assert (tmp_path / "page" / "plots" / "profile.png").exists()


def test_the_parts_hold_all_products():
    from benchmarks import floor
    from benchmarks.shapes import SHAPES

    named = {product.part for product in floor.products(SHAPES["rpe1"])}
    assert named == {
        "embedding encoder",
        "basal encoder",
        "counterfactual",
        "decoder hidden",
        "decoder head",
        "network alignment",
    }
