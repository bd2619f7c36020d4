"""gpo-vae predict --for-cell-eval: two files that cell-eval reads, and the same scores."""

import os
import shlex
import subprocess
import sys

import anndata
import pandas as pd
import pytest

from gpo_vae_jax import data
from gpo_vae_jax.evaluate.effects.profile_scores import SCORES, profile_scores
from gpo_vae_jax.runs import predicted
from gpo_vae_jax.runs.run_folder import RunFolder
from tests.running import call


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """Return the folder of the two files, and what the command printed."""
    folder = tmp_path_factory.mktemp("for cell-eval") / "test"
    done = call("predict", f"--workdir={trained[0]}", f"--output={folder}", "--for-cell-eval")
    assert done.status == 0, done.err
    return folder, done.out.splitlines()


def read(folder):
    return [anndata.read_h5ad(folder / f"{name}_cells.h5ad") for name in ("predicted", "real")]


def test_two_files_and_the_command_for_them(written, trained):
    folder, lines = written
    ours, theirs = read(folder)
    assert ours.shape == theirs.shape and list(ours.var_names) == list(theirs.var_names)
    assert ours.obs["target_gene"].value_counts().equals(theirs.obs["target_gene"].value_counts())
    assert shlex.split(lines[-1]) == [
        *("cell-eval", "run", "-ap", str(folder / "predicted_cells.h5ad")),
        *("-ar", str(folder / "real_cells.h5ad"), "--control-pert", "non-targeting"),
        *("--pert-col", "target_gene", "--outdir", str(folder / "cell-eval")),
    ]
    assert sorted(path.name for path in folder.iterdir()) == [
        "predicted_cells.h5ad",
        "real_cells.h5ad",
    ]
    config = RunFolder(trained[0]).read_config()
    prepared = data.prepare(data.simulate(config.simulate), config.prepare)
    assert (prepared.obs["split"] == "test").sum() == theirs.n_obs
    mean = profile_scores(ours, theirs, "non-targeting")[list(SCORES)].mean()
    said = "mean profiles: " + ", ".join(f"{name} {mean[name]:.4g}" for name in SCORES)
    assert said in lines


def test_the_same_seed_writes_the_same_cells(written, trained, tmp_path):
    again = [f"--workdir={trained[0]}", f"--output={tmp_path}", "--for_cell_eval", "--seed=0"]
    assert call("predict", *again).status == 0
    (ours, theirs), (before, real) = read(tmp_path), read(written[0])
    assert (ours.X != before.X).nnz == 0 and (theirs.X != real.X).nnz == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--perturbations", "all"], "--perturbations and --for-cell-eval contradict each other"),
        (["--cells=7"], "--cells and --for-cell-eval contradict"),
        (["--expected"], "--expected and --for-cell-eval contradict"),
        (["--nocontrol"], "--control and --for-cell-eval contradict"),
        (["--quality=bad"], "--quality and --for-cell-eval contradict"),
        (["--library_size=observed"], "--library_size and --for-cell-eval contradict"),
        (["--output=no/such/folder"], "does not exist; make it first"),
        (["--output=pyproject.toml"], "is a file; name a folder for the two files"),
        (["--output="], "--output is missing: the folder of the two files"),
    ],
)
def test_mistake_is_one_line_and_draws_no_cell(trained, tmp_path, monkeypatch, args, says):
    monkeypatch.setattr(predicted, "cell_eval_pair", lambda *given: pytest.fail("cells are drawn"))
    output = tmp_path / "out"
    done = call(
        *("predict", "--for-cell-eval", f"--workdir={trained[0]}", f"--output={output}"), *args
    )
    assert done.status == 1 and says in done.err and done.err.count("\n") == 1
    assert not output.exists()


def test_all_predicts_every_perturbation_of_the_data(trained, treatments, tmp_path):
    output = tmp_path / "all.h5ad"
    done = call(
        *("predict", f"--workdir={trained[0]}", "--perturbations=all", "--cells=2"),
        f"--output={output}",
    )
    assert done.status == 0, done.err
    adata = anndata.read_h5ad(output)
    assert set(adata.obs["target_gene"]) == {*treatments[:5], "non-targeting"}


def test_cell_eval_computes_the_scores_that_we_print(written):
    """Run cell-eval as its users do; what it writes agrees with our numbers to 1e-5."""
    why = "cell-eval is not installed: pip install 'gpo-vae-jax[analysis]'"
    pytest.importorskip("cell_eval", reason=why)
    folder, lines = written
    words = [sys.executable, "-m", "cell_eval", *shlex.split(lines[-1])[1:]]
    free = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(words, env=free, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    theirs = pd.read_csv(folder / "cell-eval" / "results.csv").set_index("perturbation")
    ours = profile_scores(*read(folder), "non-targeting").set_index("perturbation")
    assert set(theirs.index) == set(ours.index)
    for name in SCORES:
        apart = (ours[name] - theirs.loc[ours.index, name]).abs().max()
        assert apart < 1e-5, f"{name}: {apart}"
