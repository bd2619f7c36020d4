"""scripts/predict.py as a user runs it."""

import json

import anndata
import pytest
from scipy import sparse

from tests.scripts.test_train import SMALL, run


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "demo"
    done = run("train", "--config=configs/demo.py", f"--workdir={folder}", *SMALL)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def names(workdir):
    return json.loads((workdir / "run.json").read_text())["treatments"]


def test_words_after_the_flag(workdir, names, tmp_path):
    a, b = names[:2]
    output = tmp_path / "cells.h5ad"
    words = [a, b, f"{b}+{a}", "--cells", 7, "--library_size", "observed", f"--output={output}"]
    done = run("predict", f"--workdir={workdir}", "--perturbations", *words)
    assert done.returncode == 0, done.stderr
    assert f"{a}: observed\n" in done.stdout and f"{a}+{b}: combination of observed" in done.stdout
    adata = anndata.read_h5ad(output)
    assert adata.n_obs == 4 * 7 and sparse.issparse(adata.X)
    assert set(adata.obs["target_gene"]) == {a, b, f"{a}+{b}", "non-targeting"}


def test_names_with_commas_and_expected_counts(workdir, names, tmp_path):
    output = tmp_path / "means.h5ad"
    done = run(
        *("predict", f"--workdir={workdir}", f"--perturbations={names[0]},{names[1]}"),
        *("--expected", "--nocontrol", "--quality=bad", "--cells=5", f"--output={output}"),
    )
    assert done.returncode == 0, done.stderr
    adata = anndata.read_h5ad(output)
    assert list(adata.obs_names) == names[:2] and adata.layers["sd"].shape == adata.shape


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--perturbations", "NOSUCH"], "'NOSUCH' is no treatment"),
        (["--perturbations", "{0}+{0}"], "twice"),
        (["--perturbations", "{0}", "--library_size=0"], "must be a positive number"),
        (["--perturbations", "{0}", "--quality=fine"], "quality"),
        (["--perturbations", "{0}", "--data=missing.h5ad"], "there is no file 'missing.h5ad'"),
        ([], "perturbations"),
    ],
)
def test_mistake_is_one_line_and_writes_nothing(workdir, names, tmp_path, args, says):
    output = tmp_path / "out.h5ad"
    args = [arg.format(*names) for arg in args]
    done = run("predict", f"--workdir={workdir}", *args, f"--output={output}")
    assert done.returncode == 1 and says in done.stderr
    assert "Traceback" not in done.stderr and not output.exists()
