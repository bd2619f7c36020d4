"""The page of results shows what was measured, and names what was not."""

import pytest

from benchmarks import render_plots, results_file
from tests.benchmarks import example_results
from tests.benchmarks.programs import run


def render(tmp_path, name="page"):
    output = tmp_path / name
    run("render.py", "--results", tmp_path / "results", "--output", output)
    return (output / "README.md").read_text(), output / "plots"


def test_every_result_is_on_the_page(tmp_path):
    example_results.write(tmp_path / "results")
    text, plots = render(tmp_path)
    assert "Not measured yet" not in text and "not measured yet" not in text
    for section in ("A training step on a GPU", "Cost against size", "Preparation", "Machines"):
        assert f"## {section}\n" in text
    rows = [line for line in text.splitlines() if line.startswith("| RPE1 | float32 |")]
    assert "| **20** |" in rows[0] and "| **50%** |" in rows[0]
    assert "| 2.00 GiB |" in rows[1] and "| 4.30 GiB | **46%** |" in rows[1]
    assert "| RPE1 | tf32 | 3.59 ms (" in text and "torch 2.13" in text
    assert "| treatments | 275 ms at 164 |" in text and "| 20 | 1.9 | 16 | **no** |" in text
    assert "| embedding encoder (2 times) | 160 ms |" in text
    assert "| 58,810 + 14,703 | 115 |" in text
    assert "| demo | bf16 | cpu | 0.001 | 0.001 | 150.150, 151.151 | 0.001 |" in text
    assert "| 0.440, 0.450 | 0.9990 | 2 |" in text
    for name in ("step", "sizes", "profile"):
        assert f"(plots/{name}.png)" in text
        assert (plots / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_results_give_the_same_files(tmp_path):
    example_results.write(tmp_path / "results", gpu=False)
    (first, drawn), (second, again) = (render(tmp_path, name) for name in "ab")
    assert first == second
    for name in ("step", "sizes", "profile"):
        assert (drawn / f"{name}.png").read_bytes() == (again / f"{name}.png").read_bytes()


def test_what_is_missing_is_named(tmp_path):
    example_results.write(tmp_path / "results", gpu=False, earlier=False)
    (tmp_path / "results" / "epoch.json").unlink()
    text, _ = render(tmp_path)
    for program in ("step.py --device cuda", "epoch.py", "prepare.py", "effects.py"):
        assert f"Not measured yet: `python benchmarks/{program}`." in text
    assert "benchmarks/seeds.py" not in text


def test_nothing_measured_at_all(tmp_path):
    text, plots = render(tmp_path)
    assert text.count("Not measured yet") == 11 and not plots.exists()


def test_an_entry_replaces_the_one_of_its_key_and_no_other(tmp_path, capsys):
    key = ("shape", "device")
    for shape, seconds in (("rpe1", 1), ("k562", 2), ("rpe1", 3)):
        entry = {"shape": shape, "device": "cpu", "seconds": seconds}
        results_file.add(tmp_path, "step", entry, key)
    found = results_file.read(tmp_path, "step")
    assert [(e["shape"], e["seconds"]) for e in found] == [("k562", 2), ("rpe1", 3)]
    assert all(e["machine"]["versions"] for e in found)
    assert results_file.find(found, shape="rpe1")["seconds"] == 3
    assert results_file.find(found, shape="adamson") is None
    assert '"seconds": 3' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "text"),
    [(272.4, "272 s"), (1.234, "1.23 s"), (0.0456, "45.6 ms"), (3.21e-5, "32.1 µs")],
)
def test_times_have_units(value, text):
    assert render_plots.seconds(value) == text
