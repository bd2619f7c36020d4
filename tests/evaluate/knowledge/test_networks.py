"""Known networks over the treatments: by name, in both directions where they have none."""

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.evaluate.knowledge import KnownNetwork, place, read_network, read_networks, union

TREATMENTS = ("zeta", "10", "alpha", "9", "beta")  # not sorted; some look like numbers


def known(kind, *edges):
    table = pd.DataFrame(edges, columns=["source", "target", "sign"])
    return KnownNetwork("K", kind, table, frozenset(gene for edge in edges for gene in edge[:2]))


def test_rows_are_placed_by_name_not_by_order_of_appearance():
    network = known("edges", ("9", "zeta", ""), ("alpha", "10", ""), ("outside", "beta", ""))
    placed = place(network, TREATMENTS)
    edges = {(TREATMENTS[i], TREATMENTS[j]) for i, j in np.argwhere(placed.adjacency)}
    assert edges == {("9", "zeta"), ("alpha", "10")}
    assert placed.covered.all()


def test_undirected_kinds_go_both_ways_and_keep_their_sign():
    edges = (("9", "zeta", "activation"), ("9", "zeta", "repression"), ("10", "beta", "-"))
    directed, undirected = (place(known(kind, *edges), TREATMENTS) for kind in ("trrust", "gmt"))
    assert directed.adjacency.sum() == 2
    np.testing.assert_array_equal(undirected.adjacency, directed.adjacency | directed.adjacency.T)
    assert directed.sign[3, 0] == undirected.sign[0, 3] == 3  # both are reported
    assert directed.sign[1, 4] == 2


def test_aliases_that_meet_in_one_gene_make_no_edge_to_itself():
    placed = place(known("edges", ("a1", "a2", "")), ("A", "B"), {"a1": "A", "a2": "A"})
    assert not placed.adjacency.any()
    np.testing.assert_array_equal(placed.covered, [True, False])


def test_union_has_all_edges_and_genes():
    one = place(known("edges", ("9", "zeta", "+")), TREATMENTS)
    two = place(known("gmt", ("9", "zeta", ""), ("10", "9", "")), TREATMENTS)
    both = union([one, two])
    np.testing.assert_array_equal(both.adjacency, one.adjacency | two.adjacency)
    np.testing.assert_array_equal(both.covered, one.covered | two.covered)
    assert both.sign[3, 0] == 1


def test_network_of_other_genes_names_examples_of_both_sides():
    with pytest.raises(DataError, match=r"Sox2.*zeta"):
        place(known("edges", ("Sox2", "Pou5f1", "")), TREATMENTS)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "known.tsv"
    path.write_text("A\tB\tActivation\t1\n")
    return path


def test_command_line_names_format_and_file(file):
    first, second = read_networks([f"ONE={file}", f"TWO=edges:{file}"])
    assert (first.name, first.kind, second.kind) == ("ONE", "trrust", "edges")
    assert first.directed and list(first.edges["sign"]) == ["activation"]


def test_command_line_names_the_file_with_strings_names(tmp_path):
    links, names = tmp_path / "links.txt", tmp_path / "names.tsv"
    links.write_text("protein1 protein2 combined_score\n9606.P1 9606.P2 500\n")
    names.write_text("#string_protein_id\tpreferred_name\n9606.P1\tA\n9606.P2\tB\n")
    (network,) = read_networks([f"S=string:{links},{names}"], score=400)
    assert network.genes == {"A", "B"} and not network.directed


@pytest.mark.parametrize(
    ("specs", "error", "says"),
    [
        (["{file}"], ConfigError, "NAME=FILE"),
        (["=x"], ConfigError, "NAME=FILE"),
        (["A={file}", "A={file}"], ConfigError, "taken"),
        (["union={file}"], ConfigError, "taken"),
        (["A=nosuch.tsv"], DataError, "known network A: there is no file 'nosuch.tsv'"),
        (["A=biogrid:{file}"], DataError, "A: .* is not of format 'biogrid'"),
        (["A=corum:{file}"], DataError, "A: .* is not of format 'corum'"),
        (["A=string:{file}"], DataError, "A: .*string"),
    ],
)
def test_mistakes_name_the_network_and_the_file(file, specs, error, says):
    with pytest.raises(error, match=says):
        read_networks([spec.replace("{file}", str(file)) for spec in specs])


def test_unknown_format_names_those_there_are(file):
    with pytest.raises(ConfigError, match="trrust"):
        read_network("A", file, "nosuch")


def test_file_without_edges_says_so(tmp_path):
    path = tmp_path / "x.gmt"
    path.write_text("alone\t\tA\n")
    with pytest.raises(DataError, match="contains no edge"):
        read_network("A", path)
