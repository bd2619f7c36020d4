"""The benchmark of a step runs beside any worker of its protocol; the floor counts its products."""

import json

import pytest

from benchmarks import __main__ as listing
from benchmarks import floor as floor_command
from benchmarks import step
from benchmarks.inputs.shapes import SHAPES
from benchmarks.measuring import options
from benchmarks.programs import floor
from tests.benchmarks.programs import FAKE_TORCH


@pytest.mark.slow
def test_a_step_beside_a_worker_that_takes_half_a_second(quick, tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(FAKE_TORCH)
    (entry,) = quick("step", "--torch-worker", worker, "--steps=8")
    assert (entry["shape"], entry["device"], entry["precision"]) == ("tiny", "cpu", "float32")
    assert entry["torch"]["step_s"]["median"] == 0.5 and entry["torch"]["peak_gib"] == 100
    assert entry["times_faster"] > 1 and 0 < entry["memory_share"] < 1
    assert entry["jax"]["step_s"]["n"] == 2 and entry["jax"]["compile_s"] > 0
    assert entry["jax"]["peak_gib"] > entry["jax"]["above_data_gib"] > 0
    assert entry["floor"]["floor_s"] < entry["jax"]["step_s"]["median"]
    assert 0 < entry["floor"]["share_reached"] < 1
    assert entry["machine"]["versions"]["jax"] and entry["machine"]["commit"]


def args(**changed):
    parsed = options.parser_of("").parse_args([])
    given = {"device": "cpu", "precision": "tf32", "quick": False, "torch": True}
    given |= {"torch_python": "other", "torch_worker": None, "upstream": None}
    vars(parsed).update(given | changed)
    return parsed


def test_another_interpreter_gets_its_settings_and_needs_no_package():
    command = step.commands_of(SHAPES["k562"], args(), 4)["torch"]
    assert command[:3] == ["other", "-m", "benchmarks.torch_baseline"]
    settings = json.loads(command[command.index("--settings") + 1])
    assert (settings["genes"], settings["treatments"], settings["latent"]) == (8563, 1546, 100)


def test_the_workers_of_a_step():
    clone = {"upstream": "clone", "upstream_entry": "a.py:b"}
    command = step.commands_of(SHAPES["k562"], args(**clone), 4)["torch"]
    assert command[-4:] == ["--upstream", "clone", "--upstream-entry", "a.py:b"]
    commands = step.commands_of(SHAPES["k562"], args(torch=False), 4)
    assert commands.keys() == {"jax", "product"}
    assert commands["jax"][-2:] == ["--ks", "4"] and "tf32" in commands["product"]


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


def test_products_are_printed_as_a_table(capsys, quick):
    floor_command.main(["--rate", "--small"])
    printed = capsys.readouterr().out
    assert "| decoder head | logits of all genes | 2,560 x 400 x 8,749 | 1 | 17.92 |" in printed
    assert json.loads(printed.splitlines()[-1])["gflop_per_s"].keys() == {"jax", "numpy"}


def test_every_command_is_listed_with_what_it_does(capsys):
    listing.main()
    printed = capsys.readouterr().out
    for name in ("step", "epoch", "startup", "against", "render"):
        assert f"\n  {name} " in printed
    assert all(listing.commands().values())
