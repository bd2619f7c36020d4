"""gpo-vae export-grn."""

import shutil

import pandas as pd
import pytest

from gpo_vae_jax.evaluate.network import edge_calls
from tests.running import call


def test_the_network_is_compared_with_the_simulated_one(trained, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(trained[0], workdir)
    done = call("export-grn", f"--workdir={workdir}", "--top=20")
    assert done.status == 0, done.err
    assert "times the" in done.out
    assert "AUPRC" in done.out
    edges, matrix = pd.read_csv(workdir / "edges.csv"), pd.read_csv(workdir / "grn.csv")
    assert len(edges) >= 20
    assert set(edges["source"]) <= set(matrix["source"])
    assert (workdir / "edges.graphml").exists()


def test_edges_are_called_at_an_expected_rate(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(edge_calls, "_LEAST", 0.0)  # an untrained network is sure of nothing
    workdir = tmp_path / "run"
    shutil.copytree(trained[0], workdir)
    done = call("export-grn", f"--workdir={workdir}", "--fdr=1")
    assert done.status == 0, done.err
    assert "at an expected FDR of 1" in done.out
    edges = pd.read_csv(workdir / "edges.csv")
    called = edges[edges["called"]]
    assert len(called) and called["source_perturbed"].all()
    assert (called["posterior"] <= called["probability"]).all()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workdir=nosuch", "--networks=A=nosuch.tsv"], "no file 'nosuch.tsv'"),
        (["--workdir={folder}"], "holds no run"),
        (["--workdir={folder}", "--threshold=2"], "--threshold: '2' is no number from 0 to 1"),
        (["--workdir={folder}", "--fdr=2"], "--fdr: '2' is no number from 0 to 1"),
        (["--workdir={folder}", "--fdr=0.1", "--threshold=0.5"], "give one"),
        (["--workdir={folder}", "--top=-1"], "--top: '-1' is no whole number of at least 0"),
        ([], "--workdir is missing"),
        (["--workdir"], "--workdir: a value is missing"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, words, says):
    done = call("export-grn", *(word.format(folder=tmp_path) for word in words))
    assert done.status == 1
    assert says in done.err
    assert done.err.count("\n") == 1
