"""gpo-vae train: what it leaves, how it resumes, and one line for every mistake."""

import json
import shutil

import pandas as pd
import pytest

from gpo_vae_jax import data
from gpo_vae_jax.config import PrepareConfig, SimulateConfig
from gpo_vae_jax.runs.saved import load
from tests.running import call


def test_training_leaves_a_run_and_says_what_comes_next(trained):
    workdir, done = trained
    assert f"next: gpo-vae evaluate --workdir={workdir}\n" in done.out
    assert done.out.splitlines()[-1].startswith("total time ")
    for name in ("config.json", "run.json", "metrics.csv", "result.json", "checkpoints/best"):
        assert (workdir / name).exists(), name
    assert json.loads((workdir / "config.json").read_text())["train"]["max_epochs"] == 2


def test_resume_continues(trained, small, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(trained[0], workdir)
    refused = call("train", *small, f"--workdir={workdir}")
    assert refused.status == 1
    assert "--resume" in refused.err
    longer = (*small, "--config.train.max_epochs=3", f"--workdir={workdir}")
    done = call("train", *longer, "--resume")
    assert done.status == 0, done.err
    assert len(pd.read_csv(workdir / "metrics.csv")) == 3


def test_settings_of_a_run_start_another(trained, tmp_path):
    """config.json of a run is a --config; its settings can be changed again."""
    workdir = tmp_path / "run"
    file = trained[0] / "config.json"
    done = call("train", f"--config={file}", "--train.max_epochs=1", f"--workdir={workdir}")
    assert done.status == 0, done.err
    before, after = (json.loads((run / "config.json").read_text()) for run in (trained[0], workdir))
    assert before["train"].pop("max_epochs") == 2
    assert after["train"].pop("max_epochs") == 1
    assert before.pop("checksum") != after.pop("checksum")
    assert before == after


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model.n_latnt=3"], "--model.n_latnt: no such setting; did you mean --model.n_latent?"),
        (["--config.model.n_latent=many"], "n_latent=many must be a whole number"),
        (["--model.likelihood_key=nb"], "library_nb"),
        (["--config.train.batch_size=-1"], "config.train.batch_size=-1 must be at least 0"),
        (["--data.mask_test=NOSUCH"], "NOSUCH"),
        (["stray"], "unexpected arguments: stray"),
        (["--resume", "--overwrite"], "exclude each other"),
        (["--resmue"], "there is no option --resmue; did you mean '--resume'?"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(small, tmp_path, words, says):
    workdir = tmp_path / "run"
    done = call("train", *small, f"--workdir={workdir}", *words)
    assert done.status == 1
    assert says in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert not workdir.exists()


def test_what_is_missing_is_named_with_an_example(tmp_path):
    done = call("train", "--preset=demo")
    assert (
        done.err
        == "error: --workdir is missing: the folder of the run, such as --workdir=runs/demo\n"
    )
    done = call("train", f"--workdir={tmp_path / 'run'}")
    assert "--preset is missing" in done.err
    assert "rpe1" in done.err
    done = call("train", "--preset=anndata", f"--workdir={tmp_path / 'run'}")
    assert done.status == 1
    assert "--config.data.path" in done.err
    assert "gpo-vae prepare" in done.err


def test_cells_on_disk_and_a_run_resumed_from_memory(trained, small, tmp_path):
    """The estimate comes first; where cells are kept is no other setting of the run."""
    raw = data.simulate(SimulateConfig(n_cells=300, n_genes=30, n_perturbed=4, n_extended=2))
    data.write(data.prepare(raw, PrepareConfig()), tmp_path / "cells.h5ad")
    words = (*small, f"--data.path={tmp_path / 'cells.h5ad'}", "--data.simulated=False")
    words = (*words, f"--workdir={tmp_path / 'run'}", f"--data.store={tmp_path / 'store'}")
    done = call("train", *words, "--data.cells_in=disk")
    assert done.status == 0, done.err
    first, second, *_ = done.err.splitlines()
    assert first.startswith("300 cells of 30 genes take up to 0.0 GiB of host memory")
    assert first.endswith(f"they are kept on disk, in {tmp_path / 'store'}")
    assert second == f"{tmp_path / 'store'}: the cells are written to disk: there are none yet"
    assert "available: they are read from disk" in done.err
    done = call("train", *words, "--data.cells_in=host", "--train.max_epochs=3", "--resume")
    assert done.status == 0, done.err
    assert "they are kept in host memory" in done.err and "read from host memory" in done.err
    assert len(pd.read_csv(tmp_path / "run" / "metrics.csv")) == 3


def test_simulated_cells_are_not_on_disk(small, tmp_path):
    done = call("train", *small, f"--workdir={tmp_path / 'run'}", "--data.cells_in=disk")
    assert done.status == 1 and not (tmp_path / "run").exists()
    assert "config.data.cells_in='disk' needs a prepared file" in done.err


def test_seeds_get_a_folder_each_and_a_network_of_all(small, tmp_path):
    workdir = tmp_path / "runs"
    words = ("train", *small, "--train.max_epochs=1", "--seeds=3,5", f"--workdir={workdir}")
    done = call(*words)
    assert done.status == 0, done.err
    trained = load(workdir)
    assert [member.seed for member in trained.members] == [3, 5]
    assert (workdir / "seed3" / "config.json").exists()
    edges = pd.read_csv(workdir / "ensemble_edges.csv")
    assert set(edges["n_called"]) <= {0, 1, 2}
    again = call(*words)
    assert again.status == 1
    assert "already holds a run" in again.err
    assert call(*words, "--resume").status == 0, "finished runs stay as they are"
    refused = call("train", *small, "--seeds=3-x", f"--workdir={workdir}")
    assert "no list of seeds" in refused.err
