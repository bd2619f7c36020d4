"""A run's network exported with known networks, and names read from the prepared file."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax import data
from gpo_vae_jax.config import PrepareConfig, SimulateConfig
from gpo_vae_jax.evaluate.file_names import possible_outputs
from gpo_vae_jax.evaluate.knowledge import read_networks
from gpo_vae_jax.evaluate.network.edge_calls import call_edges
from gpo_vae_jax.evaluate.network.recovery import judged_pairs
from gpo_vae_jax.model.trained import Member, Trained
from gpo_vae_jax.runs import export
from gpo_vae_jax.types import Sizes
from tests.builders import configure


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """Return a function that exports a run of four genes, three of them perturbed."""
    config = configure()
    names = ["B", "A", "10", "D"]
    probabilities = np.zeros((4, 4))
    probabilities[0, 1], probabilities[1, 2], probabilities[2, 0] = 0.9, 0.8, 0.7
    sizes = {"n_genes": 7, "n_treatments": 4, "n_perturbed": 3, "n_quality": 1}
    run = {"treatments": names, "n_perturbed": 3, "sizes": sizes, "data": {"path": ""}}
    member = Member(0, {}, 1.0, 0, 1, pd.DataFrame())

    def load(workdir):
        return Trained(config, Sizes(**sizes), tuple(run["treatments"]), (), (member,), run)

    monkeypatch.setattr(export, "load", load)
    monkeypatch.setattr(export, "edge_probabilities", lambda *args, **kwargs: probabilities)

    def give(**options):
        return export.export_network(tmp_path, **options)

    give.run = run
    return give


def test_known_networks_reach_every_file(exported, tmp_path):
    file = tmp_path / "trrust.txt"
    file.write_text("B\tA\tActivation\t1\n10\tD\tUnknown\t2\n")
    lines = exported(networks=read_networks([f"T={file}"]), genes=["B"], depth=2)
    edges = pd.read_csv(tmp_path / "edges.csv", dtype={"source": str, "target": str})
    first = edges.iloc[0]
    assert (first["source"], first["target"]) == ("B", "A")
    assert (first["known_T"], first["sign_T"]) == (True, "activation")
    graph = nx.read_graphml(tmp_path / "edges.graphml")
    assert graph.edges["B", "A"]["known_T"] is True
    assert graph.edges["B", "A"]["sign_T"] == "activation"
    assert graph.edges["10", "B"]["known_union"] is False
    table = pd.read_csv(tmp_path / "known_networks.csv").set_index(["network", "pairs"])
    assert table.loc[("T", "block"), "precision"] == pytest.approx(1 / 3, rel=1e-5)
    assert table.loc[("T", "all"), "recall"] == 0.5
    assert any("B -> A" in line and line.endswith("known: T") for line in lines)
    downstream = pd.read_csv(tmp_path / "neighbourhood_B.csv", dtype=str)
    assert list(downstream["path"]) == ["B > A", "B > A > 10"]
    assert len(pd.read_csv(tmp_path / "regulators.csv")) == 4
    written = set(tmp_path.iterdir()) - {file}
    assert written <= set(possible_outputs(tmp_path))  # a new run in the folder removes them


def test_edges_called_at_an_expected_rate_reach_every_file(exported, tmp_path, monkeypatch):
    """Edges of the unperturbed D are not called, however probable."""
    posterior = np.zeros((4, 4))
    posterior[1, 2], posterior[0, 1], posterior[2, 0], posterior[3, 0] = 0.95, 0.85, 0.4, 0.99
    pairs = judged_pairs(4, 3)
    monkeypatch.setattr(
        export, "calls_of", lambda params, fdr, spec: call_edges(posterior, pairs, fdr)
    )
    exported.run["true_edges"] = [("A", "10", 1.0), ("10", "B", -1.0)]
    lines = exported(fdr=0.1, genes=["B"], depth=2, at_least=1)
    edges = pd.read_csv(tmp_path / "edges.csv", dtype={"source": str, "target": str})
    assert list(edges["source"] + ">" + edges["target"]) == ["A>10", "B>A"]
    assert list(edges["posterior"]) == [0.95, 0.85] and list(edges["rank"]) == [1, 2]
    assert edges["called"].all() and list(edges["probability"]) == [0.8, 0.9]
    graph = nx.read_graphml(tmp_path / "edges.graphml")
    assert graph.edges["A", "10"]["called"] is True
    regulators = pd.read_csv(tmp_path / "regulators.csv", dtype={"gene": str}).set_index("gene")
    assert dict(regulators["n_targets"]) == {"A": 1, "B": 1, "10": 0, "D": 0}
    downstream = pd.read_csv(tmp_path / "neighbourhood_B.csv", dtype=str)
    assert list(downstream["path"]) == ["B > A", "B > A > 10"]
    said = "\n".join(lines)
    assert "2 edges of perturbed genes are called at an expected FDR of 0.1: 90% of them" in said
    assert "of the 2 called edges 1 are true (50%), 50% of the true edges" in said
    none = exported(fdr=0.01, at_least=3)
    assert any("no edge is called" in line for line in none)
    assert not pd.read_csv(tmp_path / "edges.csv")["called"].any()


def test_without_a_rate_the_files_are_as_before(exported, tmp_path):
    exported()
    columns = pd.read_csv(tmp_path / "edges.csv").columns
    assert not {"posterior", "called"} & set(columns)


def test_nothing_is_written_where_a_wish_cannot_be_met(exported, tmp_path):
    with pytest.raises(ValueError, match="nosuch"):
        exported(genes=["nosuch"])
    assert not list(tmp_path.iterdir())


def test_symbols_of_the_prepared_file_lead_to_ensembl_ids(exported, tmp_path):
    raw = data.simulate(SimulateConfig(n_cells=200, n_genes=12, n_perturbed=2, n_extended=0))
    genes = list(raw.var_names)
    raw.var["gene_name"] = [f"SYMBOL{i}" for i in range(12)]
    del raw.uns["gpo_vae_truth"]
    path = tmp_path / "prepared.h5ad"
    data.write(data.prepare(raw, PrepareConfig(extended_genes="none")), path)
    exported.run["data"]["path"] = str(path)
    exported.run["treatments"][:3] = genes[:3]
    file = tmp_path / "edges.tsv"
    file.write_text("source\ttarget\nSYMBOL0\tSYMBOL1\n")
    exported(networks=read_networks([f"E={file}"]))
    edges = pd.read_csv(tmp_path / "edges.csv")
    known = edges[edges["known_E"]]
    assert list(zip(known["source"], known["target"], strict=True)) == [tuple(genes[:2])]


def test_conventions_are_read_without_the_counts(tmp_path):
    path = tmp_path / "prepared.h5ad"
    raw = data.simulate(SimulateConfig(n_cells=200, n_genes=12, n_perturbed=2, n_extended=0))
    data.write(data.prepare(raw, PrepareConfig(extended_genes="none")), path)
    assert data.read_conventions(path) == data.load(path).conventions
    raw.write_h5ad(tmp_path / "raw.h5ad")
    with pytest.raises(ValueError, match="this data is not prepared"):
        data.read_conventions(tmp_path / "raw.h5ad")
