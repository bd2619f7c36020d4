"""The scripts as a user runs them: train, resume, export, and one line for every mistake."""

import json

import pandas as pd
import pytest

from tests.paths import GOLDEN
from tests.running import run

SMALL = (
    "--config.simulate.n_cells=400",
    "--config.simulate.n_genes=30",
    "--config.simulate.n_perturbed=5",
    "--config.simulate.n_extended=3",
    "--config.train.max_epochs=2",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "demo"
    done = run("train", "--config=configs/demo.py", f"--workdir={workdir}", *SMALL)
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_training_leaves_a_run_and_says_what_comes_next(finished):
    workdir, done = finished
    assert f"scripts/evaluate.py --workdir={workdir}" in done.stdout
    for name in ("config.json", "run.json", "metrics.csv", "result.json", "checkpoints/best"):
        assert (workdir / name).exists(), name
    assert "Traceback" not in done.stderr
    assert json.loads((workdir / "config.json").read_text())["train"]["max_epochs"] == 2


def test_resume_goes_on(finished):
    workdir, _ = finished
    more = [*SMALL[:-1], "--config.train.max_epochs=3"]
    done = run("train", "--config=configs/demo.py", f"--workdir={workdir}", "--resume", *more)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(workdir / "metrics.csv")) == 3


def test_exported_network_is_compared_with_the_simulated_one(finished):
    workdir, _ = finished
    done = run("export_grn", f"--workdir={workdir}", "--top=20")
    assert done.returncode == 0, done.stderr
    assert "times the" in done.stdout and "AUPRC" in done.stdout
    edges, matrix = pd.read_csv(workdir / "edges.csv"), pd.read_csv(workdir / "grn.csv")
    assert len(edges) >= 20
    assert set(edges["source"]) <= set(matrix["source"])
    assert (workdir / "edges.graphml").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--config.model.n_latnt=3"], "n_latent"),
        (["--config.model.n_latent=many"], "n_latent=many"),
        (["--config.model.likelihood_key=nb"], "library_nb"),
        (["--config.train.batch_size=0"], "config.train.batch_size=0 must be at least 1"),
        (["--config.data.mask_test=('NOSUCH',)"], "NOSUCH"),
        (["stray"], "unexpected arguments: stray"),
    ],
)
def test_mistake_is_one_line_and_writes_nothing(tmp_path, args, says):
    workdir = tmp_path / "run"
    done = run("train", "--config=configs/demo.py", f"--workdir={workdir}", *SMALL, *args)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not workdir.exists()


def test_config_without_data_says_what_to_name(tmp_path):
    done = run("train", "--config=configs/anndata.py", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 1
    assert "--config.data.path" in done.stderr


def test_export_of_an_empty_folder_says_so(tmp_path):
    done = run("export_grn", f"--workdir={tmp_path}")
    assert done.returncode == 1
    assert "holds no run" in done.stderr


def test_parity_exits_by_what_it_found(tmp_path):
    good = GOLDEN / "decode_poisson.npz"
    done = run("parity", good)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 files agree" in done.stdout
    (tmp_path / "broken.npz").write_bytes(b"not an archive")
    done = run("parity", good, tmp_path / "broken.npz")
    assert done.returncode == 1
    assert "1 of 2 files agree" in done.stdout
