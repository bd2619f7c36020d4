"""gpo-vae evaluate: what it writes, and one line for every mistake."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest

from tests.running import call

FEW = (
    "--evaluate.iwelbo_particles=5",
    "--evaluate.effect_particles=30",
    "--evaluate.quality_cells=10",
    "--evaluate.threshold=0.45",
)


@pytest.fixture(scope="module")
def evaluated(trained, treatments, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    a, b, c = treatments[:3]
    (folder / "known.tsv").write_text(f"{a}\t{b}\n{b}\t{c}\n")
    (folder / "other.tsv").write_text(f"{c}\t{a}\n")
    known = ("--networks", f"KNOWN={folder / 'known.tsv'}", f"OTHER={folder / 'other.tsv'}")
    where = (f"--workdir={trained[0]}", f"--output={folder / 'run'}")
    done = call("evaluate", *where, *FEW, *known)
    assert done.status == 0, done.err
    return folder, done


def test_the_table_is_narrow_and_the_last_line_is_the_report(evaluated):
    folder, done = evaluated
    lines = done.out.splitlines()
    assert lines[-1] == str(folder / "run" / "report.html")
    assert lines[-2].startswith("total time ")
    assert max(map(len, lines[:-1])) <= 80


def test_every_file_is_there_and_every_number_is_plain_json(evaluated):
    folder, _ = evaluated
    workdir = folder / "run"
    for name in ("evaluation.csv", "regulators.csv", "known_networks.csv", "curve.csv", "grn.csv"):
        assert len(pd.read_csv(workdir / name)), name

    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    found = json.loads((workdir / "evaluation.json").read_text(), parse_constant=refuse)
    assert set(found["known_networks"]) == {"KNOWN", "OTHER", "union"}
    assert found["known_networks"]["union"]["n_known"] == 3
    assert found["settings"]["effect_particles"] == 30
    assert 0 <= found["truth"]["auprc"] <= 1
    rows = pd.read_csv(workdir / "evaluation.csv").set_index("metric")["value"]
    value = found["effects"]["perturbseq"]["held_out"]["model"]["pearson"]
    assert float(rows["effects.perturbseq.held_out.model.pearson"]) == pytest.approx(
        value, rel=1e-4
    )
    assert (workdir / "report.html").read_text().startswith("<!doctype html>")
    assert list((workdir / "plots").glob("*.png"))


def test_the_effects_carry_the_network_by_name(evaluated):
    workdir = evaluated[0] / "run"
    effects = anndata.read_h5ad(workdir / "effects.h5ad")
    matrix = pd.read_csv(workdir / "grn.csv", index_col=0)
    placed = pd.DataFrame(
        effects.varp["grn_probability"].toarray(), effects.var_names, effects.var_names
    )
    among = [name for name in matrix.index if name in placed.index]
    np.testing.assert_allclose(
        placed.loc[among, among], matrix.loc[among, among], rtol=1e-4, atol=1e-6
    )
    assert set(effects.obs_names) == set(matrix.index[:5])
    assert {"reference_perturbseq", "held_out_perturbseq", "spread_mean"} <= set(effects.layers)
    assert (effects.obs["cells_test"] > 0).all()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--workdir=nowhere",), "nowhere holds no run"),
        (("--evaluate.effect_particles=0",), "evaluate.effect_particles=0 must be at least 1"),
        (("--networks", "KNOWN=nowhere.tsv"), "nowhere.tsv"),
        (("stray",), "unexpected arguments: stray"),
        (("--evaluate.topp=3",), "--evaluate.topp: no such setting; did you mean --evaluate.top?"),
        (("--evaluate.top=few",), "--evaluate.top=few must be a whole number"),
        (("--train.seed=3",), "settings of this command are --evaluate.NAME=VALUE"),
    ],
)
def test_a_mistake_is_one_line(trained, tmp_path, args, says):
    workdir = [] if args[0].startswith("--workdir") else [f"--workdir={trained[0]}"]
    done = call("evaluate", *workdir, f"--output={tmp_path / 'out'}", *args)
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith("error: ")
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_data_that_is_not_the_run_s_is_refused(trained, tmp_path):
    from gpo_vae_jax import data
    from gpo_vae_jax.config import PrepareConfig, SimulateConfig

    other = data.prepare(
        data.simulate(SimulateConfig(n_cells=300, n_genes=20, n_perturbed=3, n_extended=1)),
        PrepareConfig(),
    )
    data.write(other, tmp_path / "other.h5ad")
    done = call("evaluate", f"--workdir={trained[0]}", f"--data={tmp_path / 'other.h5ad'}")
    assert done.status == 1
    assert "was trained on other data than" in done.err
