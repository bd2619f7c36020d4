"""Reading the folders of evaluated runs, and what each refusal says."""

import json
from pathlib import Path

import numpy as np
import pytest

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.network.edges import write_network
from gpo_vae_jax.runs.compared import compare_folders, read_evaluated

TREATMENTS = ["beta", "10", "NA", "zeta", "9"]  # unsorted; like numbers and like nothing
PROBABILITIES = np.random.default_rng(0).random((5, 5)).round(3)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    data = {"n_perturbed": 3, "fingerprint": "f"}
    summary = {"run": {"data": data, "best_loss": 2.0}, "settings": {"threshold": 0.5}}
    (path / "evaluation.json").write_text(json.dumps(summary))
    write_network(path, PROBABILITIES, TREATMENTS, 3)
    return str(path)


def test_a_folder_is_read_as_it_was_written(folder):
    run = read_evaluated(folder)
    assert (run.name, run.treatments, run.n_perturbed) == ("a", tuple(TREATMENTS), 3)
    assert run.fingerprint == "f"
    np.testing.assert_allclose(run.probabilities, PROBABILITIES)
    comparison = compare_folders([folder, f"again={folder}"])
    assert comparison.names == ["a", "again"]
    assert comparison.metrics.set_index("metric").loc["run.best_loss", "again - a"] == 0


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("evaluation.json", "gpo-vae evaluate --workdir="),
        ("grn.csv", "gpo-vae export-grn --workdir="),
    ],
)
def test_a_folder_that_lacks_a_file_names_the_command_that_writes_it(folder, missing, says):
    (Path(folder) / missing).unlink()
    with pytest.raises(DataError, match=says):
        read_evaluated(folder)


@pytest.mark.parametrize("file", ["evaluation.json", "grn.csv"])
def test_a_broken_file_names_the_folder(folder, file):
    (Path(folder) / file).write_text("{ no")
    with pytest.raises(DataError, match=r"run a: a file in .* cannot be read"):
        read_evaluated(folder)


def test_a_folder_that_is_not_there_is_named(folder):
    with pytest.raises(DataError, match="there is no folder 'nosuch'"):
        compare_folders([folder, "nosuch"])
