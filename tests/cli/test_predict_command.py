"""gpo-vae predict: words after options, cells and means, and one line for every mistake."""

import anndata
import pytest
from scipy import sparse

from gpo_vae_jax import data, presets
from gpo_vae_jax.cli import predict_command
from gpo_vae_jax.runs import predicted
from gpo_vae_jax.runs.run_folder import RunFolder
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
        (["--perturbations", "{0}", "{0}x"], "'{0}x' is no treatment of this model; "),
        (["--perturbations", "{lower}"], "'{lower}' is no treatment of this model; did you mean"),
        (["--perturbations", "{0}", "ctrl"], "(the control is 'non-targeting')"),
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
    args = [arg.format(*treatments, lower=treatments[0].lower()) for arg in args]
    says = says.format(*treatments, lower=treatments[0].lower())
    done = call("predict", f"--workdir={trained[0]}", f"--output={output}", *args)
    assert done.status == 1
    assert says in done.err
    assert done.err.count("\n") == 1
    assert not output.exists()


def test_names_and_output_are_checked_before_any_cell_is_drawn(
    trained, treatments, tmp_path, monkeypatch
):
    monkeypatch.setattr(predicted, "predict_cells", lambda *given: pytest.fail("cells are drawn"))
    for word, output in ((treatments[0], "no/such/x.h5ad"), ("NOSUCH", "x.h5ad")):
        done = call(
            *("predict", f"--workdir={trained[0]}", "--perturbations", word),
            f"--output={tmp_path / output}",
        )
        assert done.status == 1 and done.err.count("\n") == 1


def test_the_data_of_the_run_is_not_overwritten(trained, treatments, tmp_path):
    config = RunFolder(trained[0]).read_config()
    path = tmp_path / "prepared.h5ad"
    data.write(data.prepare(data.simulate(config.simulate), config.prepare), path)
    before = path.read_bytes()
    words = ["--perturbations", treatments[0], f"--data={path}", f"--output={path}"]
    done = call("predict", f"--workdir={trained[0]}", *words)
    assert done.status == 1 and "is the data of the run; name another file" in done.err
    assert path.read_bytes() == before


def test_the_example_names_genes_of_the_demo():
    genes = data.simulate(presets.demo().simulate).var
    perturbed = set(genes.index[genes["perturbed"]])
    example = next(line for line in predict_command.__doc__.splitlines() if "--perturb" in line)
    words = example.split()
    named = words[words.index("--perturbations") + 1 : -1]
    assert len(named) == 3
    assert {gene for word in named for gene in word.split("+")} <= perturbed
