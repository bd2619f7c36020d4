"""gpo-vae predict: words after options, cells and means, and one line for every mistake."""

import anndata
import pytest
from scipy import sparse

from gpo_vae_jax import data, presets
from gpo_vae_jax.cli import predict_command
from tests.running import call


def test_words_after_the_flag(trained, treatments, tmp_path):
    a, b = treatments[:2]
    output = tmp_path / "cells.h5ad"
    words = [a, b, f"{b}+{a}", "--cells", 7, "--library_size", "observed", f"--output={output}"]
    done = call("predict", f"--workdir={trained[0]}", "--perturbations", *words)
    assert done.status == 0, done.err
    assert f"{a}: observed\n" in done.out
    assert f"{a}+{b}: combination of observed" in done.out
    adata = anndata.read_h5ad(output)
    assert adata.n_obs == 4 * 7
    assert sparse.issparse(adata.X)
    assert set(adata.obs["target_gene"]) == {a, b, f"{a}+{b}", "non-targeting"}


def test_names_with_commas_and_expected_counts(trained, treatments, tmp_path):
    output = tmp_path / "means.h5ad"
    done = call(
        *("predict", f"--workdir={trained[0]}", f"--perturbations={treatments[0]},{treatments[1]}"),
        *("--expected", "--nocontrol", "--quality=bad", "--cells=5", f"--output={output}"),
    )
    assert done.status == 0, done.err
    adata = anndata.read_h5ad(output)
    assert list(adata.obs_names) == treatments[:2]
    assert adata.layers["sd"].shape == adata.shape


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--perturbations", "NOSUCH"], "'NOSUCH' is no treatment"),
        (["--perturbations", "{0}+{0}"], "twice"),
        (["--perturbations", "{0}", "--library_size=0"], "must be a positive number"),
        (["--perturbations", "{0}", "--quality=fine"], "--quality: invalid choice"),
        (["--perturbations", "{0}", "--data=missing.h5ad"], "there is no file 'missing.h5ad'"),
        (["--perturbations", "{0}", "--output=no/such/folder.h5ad"], "does not exist"),
        (["--perturbations", "{0}", "--cells=0"], "--cells: '0' is no whole number of at least 1"),
        ([], "--perturbations is missing: what to predict"),
    ],
)
def test_mistake_is_one_line_and_writes_nothing(trained, treatments, tmp_path, args, says):
    output = tmp_path / "out.h5ad"
    args = [arg.format(*treatments) for arg in args]
    done = call("predict", f"--workdir={trained[0]}", f"--output={output}", *args)
    assert done.status == 1
    assert says in done.err
    assert done.err.count("\n") == 1
    assert not output.exists()


def test_the_example_names_genes_of_the_demo():
    genes = data.simulate(presets.demo().simulate).var
    perturbed = set(genes.index[genes["perturbed"]])
    example = next(line for line in predict_command.__doc__.splitlines() if "--perturb" in line)
    words = example.split()
    named = words[words.index("--perturbations") + 1 : -1]
    assert len(named) == 3
    assert {gene for word in named for gene in word.split("+")} <= perturbed
