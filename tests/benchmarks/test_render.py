"""The page of results shows every measurement, and names the missing ones."""

import pytest

from benchmarks import render
from benchmarks.measuring import options, results_file
from benchmarks.rendering import plots
from tests.benchmarks import example_results


def page(tmp_path, name="page"):
    """Render tmp_path/results; return the text and the folder of plots."""
    output = tmp_path / name
    render.main(["--results", str(tmp_path / "results"), "--output", str(output)])
    return (output / "README.md").read_text(), output / "plots"


def test_every_result_is_on_the_page(tmp_path):
    example_results.write(tmp_path / "results")
    text, drawn = page(tmp_path)
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
    assert "| simulation 0 | accurate | 2 | 0.905 (0.900 to 0.910) / 0.800" in text
    assert "| screen | accurate | 1 | 0.900 / 0.800 |" in text
    assert "| cycles | accurate | 1 | 0.900 / 0.800 |" in text
    assert "| cycles, new for each seed | accurate | 3 | 0.910 (0.900 to 0.920) / 0.800 |" in text
    assert "| -437.1 | 22 s |" in text and "| 40 | 0.50 | 1.00 |" in text
    assert "| cpu | second start (warm cache) | 4 s (3.84 s to 4.52 s) | 500 ms |" in text
    assert "| 300,000 | disk | 0.30 GiB | 0.40 GiB | **1.25 GiB** | 3.5 s | 2.5 s |" in text
    assert "| whole step, published model | 50,000 (40,000 to 60,000) |" in text
    for name in ("step", "sizes", "profile"):
        assert f"(plots/{name}.png)" in text
        assert (drawn / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_prose_keeps_within_100_columns(tmp_path):
    example_results.write(tmp_path / "results")
    text, _ = page(tmp_path)
    prose = [line for line in text.splitlines() if not line.startswith("|")]  # all but tables
    assert [line for line in prose if len(line) > 100] == []


def test_the_same_results_give_the_same_files(tmp_path):
    example_results.write(tmp_path / "results", gpu=False)
    (first, drawn), (second, again) = (page(tmp_path, name) for name in "ab")
    assert first == second
    for name in ("step", "sizes", "profile"):
        assert (drawn / f"{name}.png").read_bytes() == (again / f"{name}.png").read_bytes()


def test_what_is_missing_is_named(tmp_path):
    example_results.write(tmp_path / "results", gpu=False, earlier=False)
    (tmp_path / "results" / "epoch.json").unlink()
    text, _ = page(tmp_path)
    for command in ("step --device cuda", "epoch", "prepare", "effects"):
        assert f"Not measured yet: `python -m benchmarks.{command}`." in text
    assert "benchmarks.seeds" not in text


def test_nothing_measured_at_all(tmp_path):
    text, drawn = page(tmp_path)
    assert text.count("Not measured yet") == 18 and not drawn.exists()


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


def test_without_a_key_a_file_holds_one_entry(tmp_path):
    for seconds in (1, 2):
        results_file.add(tmp_path, "effects", {"seconds": seconds})
    (entry,) = results_file.read(tmp_path, "effects")
    assert entry["seconds"] == 2


def test_a_quick_run_without_a_folder_writes_nothing(tmp_path):
    parser = options.parser_of("")
    options.add_all(parser, rounds=5)
    args = options.parsed(parser, ["--quick"])
    assert (args.shape, args.rounds) == ("tiny", 2)
    assert results_file.folder_of(args) is None
    before = {path: path.stat().st_mtime for path in results_file.FOLDER.iterdir()}
    results_file.add(None, "step", {"shape": "tiny"}, ("shape",))
    assert {path: path.stat().st_mtime for path in results_file.FOLDER.iterdir()} == before
    args = options.parsed(parser, ["--quick", f"--results={tmp_path}"])
    assert results_file.folder_of(args) == tmp_path
    assert results_file.folder_of(options.parsed(parser, [])) == results_file.FOLDER


@pytest.mark.parametrize(
    ("value", "text"),
    [(272.4, "272 s"), (1.234, "1.23 s"), (0.0456, "45.6 ms"), (3.21e-5, "32.1 µs")],
)
def test_times_have_units(value, text):
    assert plots.seconds(value) == text
