"""The benchmarks of whole programs run at tiny sizes, and their numbers are consistent.

All of them train on 512 cells of the tiny shape, so that they share compiled programs.
"""

import io
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import against, epoch, precision, profile, render, seeds, sizes
from benchmarks.inputs import shapes
from benchmarks.inputs.shapes import SHAPES
from benchmarks.measuring import memory, options, results_file
from benchmarks.programs import floor
from benchmarks.programs import jax_program as program
from benchmarks.workers import any_version
from gpo_vae_jax import data
from gpo_vae_jax.train import run_epoch
from gpo_vae_jax.types import Dataset
from tests.benchmarks import example_results
from tests.forms import FORM
from tests.paths import ROOT


def checked(entries):
    (entry,) = entries
    assert entry["device"] == "cpu" and entry["precision"] == "float32"
    assert entry["machine"]["versions"]["jax"]
    return entry


class OneSecondPerGene:
    """A Runner whose step takes a second a gene."""

    def __init__(self, shape, ks, **more):
        self.genes = shape.genes

    def run(self, k):
        return {"seconds": [k * self.genes]}


def test_cost_against_size(quick, monkeypatch):
    monkeypatch.setattr(sizes, "Runner", OneSecondPerGene)
    entry = checked(quick("sizes", "--rounds=1"))
    line = entry["lines"]["genes"]
    assert [(p["factor"], p["value"]) for p in line] == [(0.25, 15), (0.5, 30), (1, 60)]
    assert [p["step_s"]["median"] for p in line] == [15, 30, 60]
    assert line[0]["gflop"] < line[1]["gflop"] < line[2]["gflop"]
    growth = entry["growth"]["genes"]
    assert 1 < growth["products"] < growth["at_most"] == growth["times"] == 4 and growth["within"]
    assert entry["growth"]["particles"]["times"] == 1
    assert entry["growth"]["treatments"]["at_most"] == 16


@pytest.mark.slow
def test_an_epoch(quick, tmp_path):
    tiny = example_results.step("tiny", "cpu", "float32")
    (tmp_path / "step.json").write_text(json.dumps([tiny]))
    entry = checked(quick("epoch", "--rounds=1"))
    assert (entry["train_cells"], entry["validation_cells"], entry["steps"]) == (512, 128, 8)
    assert entry["all_cells"] and math.isfinite(entry["loss"])
    whole, validation = entry["epoch_s"]["median"], entry["validation_s"]["median"]
    assert entry["validation_share"] == pytest.approx(validation / whole, rel=1e-2)
    parts = 8 * entry["step_s"]["median"] + validation
    assert entry["rest_s"] == pytest.approx(whole - parts, rel=1e-2, abs=1e-5)
    beside = entry["torch_extrapolated"]
    assert beside["training_s"] == pytest.approx(8 * tiny["torch"]["step_s"]["median"], rel=1e-3)


def test_too_little_memory_means_fewer_cells(monkeypatch):
    monkeypatch.setattr(memory, "available_gib", lambda: 64.0)
    assert epoch.n_cells(SHAPES["rpe1"], None) == (58_810, 14_703)
    monkeypatch.setattr(memory, "available_gib", lambda: 4.0)
    train, validation = epoch.n_cells(SHAPES["rpe1"], None)
    assert 8_000 < train < 14_000 and validation == pytest.approx(train / 4, abs=1)


def tiny_dataset():
    """Return the cells on which all tests here train, with a made-up true network."""
    shape, spec = SHAPES["tiny"], shapes.spec_of(SHAPES["tiny"])
    train, validation = jax.device_get(program.splits_of(shape, 512, 128))
    genes = tuple(f"g{i:02d}" for i in range(shape.genes))
    return Dataset(
        splits={"train": train, "val": validation, "test": validation},
        cells={},
        treatments=genes[: shape.treatments],
        n_perturbed=shape.perturbed,
        genes=genes,
        tables=program.distance_tables(spec),
        labels={},
        label_genes={},
        true_network=np.eye(shape.treatments, k=1),
    )


@pytest.mark.skipif(FORM == "gpu", reason="a CPU knows no products of bf16")
@pytest.mark.slow
def test_precision(quick, monkeypatch):
    monkeypatch.setattr(options, "PRECISIONS", ("float32", "bf16"))
    monkeypatch.setattr(precision, "small", lambda config: shapes.published(SHAPES["tiny"]))
    monkeypatch.setattr(data, "from_config", lambda config: tiny_dataset())
    found = quick("precision")
    exact, bf16 = (results_file.find(found, precision=name) for name in ("float32", "bf16"))
    assert exact["first_loss_apart"] == exact["edges_that_differ"] == 0
    assert exact["probabilities_correlate"] == 1
    assert 0 < bf16["first_loss_apart"] < 1e-2 and math.isfinite(bf16["auprc"][0])
    assert precision.compared([SEED | {"iwelbo": -3.03}], [SEED])["iwelbo_apart"] == 0.01


SEED = {"first_loss": 1.0, "first_gradient_norm": 1.0, "best_validation_loss": 1.0, "iwelbo": -3.0,
        "probabilities": [[0.1, 0.2], [0.3, 0.4]]}  # fmt: skip


def test_evaluation(quick):
    entry = checked(quick("evaluate", "--cells=100", "--particles=7"))
    assert (entry["cells"], entry["particles"], entry["test_cells"]) == (100, 7, 160)
    assert entry["cells_per_s"]["median"] > 0 and math.isfinite(entry["mean_score"])


class OneByOne:
    """`run_epoch_of_members` without a program of its own; tests/train compiles the real one."""

    def lower(self, states, active, *data, spec):
        lane = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), states)
        self.single = run_epoch.lower(lane, *data, spec=spec).compile()
        return self

    def compile(self):
        return self

    def __call__(self, states, active, *data):
        lanes = [jax.tree.map(lambda leaf, at=at: leaf[at], states) for at in range(len(active))]
        ended = [self.single(lane, *data) for lane in lanes]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *ended)


@pytest.mark.slow
def test_seeds(quick, monkeypatch):
    monkeypatch.setattr(seeds, "run_epoch_of_members", OneByOne())
    entry = checked(quick("seeds", "--rounds=1"))
    assert entry["seeds"] == 2 and entry["largest_difference_of_losses"] < 1e-3
    assert entry["times_faster"] > 0


@pytest.mark.slow
def test_parts_of_a_step(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(profile, "whole_step", lambda *given: profile.ready(jnp.square, 2.0))
    entry = checked(quick("profile", "--rounds=1"))
    parts = {part["part"]: part for part in entry["parts"]}
    assert {product.part for product in floor.products(SHAPES["rpe1"])} <= parts.keys()
    assert parts["embedding encoder"]["calls"] == 2 and parts["decoder head"]["gflop"] > 0
    assert "with_gradient_s" not in parts["noise"]
    total = sum(part["in_step_s"] for part in parts.values())
    assert entry["sum_of_parts_s"] == pytest.approx(total, rel=1e-3)
    assert entry["whole_s"]["median"] > 0
    assert all(part["floor_s"] > 0 and part["gb"] > 0 for part in parts.values())
    render.main(["--results", str(tmp_path), "--output", str(tmp_path / "page")])
    assert (tmp_path / "page" / "plots" / "profile.png").exists()


def test_the_parts_hold_all_products():
    named = {product.part for product in floor.products(SHAPES["rpe1"])}
    assert named == {
        "embedding encoder",
        "basal encoder",
        "counterfactual",
        "decoder hidden",
        "decoder head",
        "network alignment",
    }


class WorkerInThisProcess:
    """A Worker for any_version.py without a process."""

    def __init__(self, name, command, **popen):
        self.name, self.runner = name, any_version.Runner(Path(command[-1]))
        self.ready = self.runner.ready

    def ask(self, steps, what):
        return self.runner.run(what)

    def stop(self):
        pass

    close = stop


@pytest.mark.slow
def test_against_another_checkout(quick, capsys, monkeypatch):
    monkeypatch.setattr(against, "Worker", WorkerInThisProcess)
    entry = checked(quick("against", ROOT))
    for what in ("step", "epoch"):
        assert entry[what]["losses_apart"] == 0 and entry[what]["ratio"] > 0
        assert entry[what][against.OLD]["n"] == entry[what][against.NEW]["n"] == 2
    assert capsys.readouterr().out.splitlines()[-1].startswith("epoch ")


class LettersForLoss:
    """A runner of any_version.py that computes nothing."""

    def __init__(self):
        self.ready = {"package": "here"}

    def run(self, what):
        return {"seconds": [1.0], "loss": len(what)}


def test_the_worker_of_any_version_answers_until_it_is_stopped():
    answers = io.StringIO()
    requests = ['{"steps": 1, "what": "epoch"}', '{"stop": true}', '{"steps": 1, "what": "step"}']
    any_version.serve(LettersForLoss(), requests, answers)
    ready, epoch_, last = map(json.loads, answers.getvalue().splitlines())
    assert ready == {"ready": True, "package": "here"} and last == {}
    assert epoch_ == {"seconds": [1.0], "loss": 5}


def test_another_folder_is_not_a_checkout(tmp_path, capsys):
    with pytest.raises(SystemExit):
        against.main([str(tmp_path), "--quick"])
    assert "holds no gpo_vae_jax" in capsys.readouterr().err
