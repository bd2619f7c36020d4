"""GPO-VAE in CausalBench's harness: counts out of its values, its class, and its evaluator."""

import dataclasses
import itertools
import sys
import types

import numpy as np
import pytest

from gpo_vae_jax import presets
from gpo_vae_jax.api import causalbench, simulate
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.evaluate.network.network_stats import network_statistics
from gpo_vae_jax.statistics.two_sample import two_sample_tables

MISSING = "CausalBench is not installed: pip install --no-deps causalbench"


def config(epochs=3):
    chosen = presets.accurate()
    return dataclasses.replace(chosen, train=dataclasses.replace(chosen.train, max_epochs=epochs))


@pytest.fixture(scope="module")
def screen():
    """Return expression, labels and genes as CausalBench's files have them, and the counts."""
    raw = simulate(n_cells=700, n_genes=30, n_perturbed=6, n_extended=0, seed=1)
    counts = np.asarray(raw.X.todense() if hasattr(raw.X, "todense") else raw.X, int)
    counts = np.random.default_rng(0).binomial(counts, 0.1)  # as shallow as a real screen
    total = counts.sum(1, keepdims=True)
    labels = raw.obs["perturbation"].astype(str).to_numpy()
    genes = [name for name in raw.var_names if name in set(labels)]
    at = [raw.var_names.get_loc(name) for name in genes]
    expression = np.log1p(counts * (np.median(total) / total)).astype(np.float32)[:, at]
    return expression, labels, genes, counts[:, at]


def test_counts_are_found_up_to_a_common_divisor(screen):
    expression, _, _, counts = screen
    found = causalbench.pseudo_counts(expression)
    divisor = np.gcd.reduce(counts, axis=1)
    assert found.exact_share > 0.99
    right = (found.counts * divisor[:, None] == counts).all(1)
    assert right.mean() > 0.99


def test_whole_numbers_are_counts_and_other_values_are_rounded():
    counts = np.array([[2, 4], [0, 0]])
    assert causalbench.pseudo_counts(counts).counts.tolist() == [[2, 4], [0, 0]]
    odd = np.log1p(np.array([[1.0, np.pi, np.e, 7.123456], [1.0, 2.0, 3.0, 0.0]]))
    found = causalbench.pseudo_counts(odd)
    assert found.counts.tolist() == [[1, 3, 3, 7], [1, 2, 3, 0]] and found.exact_share == 0.5
    for value in (-1.0, np.nan):
        with pytest.raises(DataError, match="negative or not finite"):
            causalbench.pseudo_counts(np.array([[value]]))


def test_excluded_and_empty_cells_are_left_out(screen):
    expression, labels, genes, _ = screen
    labels, expression = labels.copy(), expression.copy()
    labels[:5] = "excluded"
    expression[5] = 0
    adata = causalbench.as_screen(expression, iter(labels), genes, seed=2)
    assert adata.n_obs == len(labels) - 6 and adata.obs_names[0] == "cell6"
    assert list(adata.obs["perturbation"]) == list(labels[6:])
    assert adata.obs["split"].value_counts(normalize=True)["train"] == pytest.approx(0.88, abs=0.01)


def test_values_that_are_no_counts_are_named(screen):
    _, labels, genes, _ = screen
    values = np.random.default_rng(0).gamma(1.0, 1.0, (len(labels), len(genes)))
    with pytest.warns(UserWarning, match="100% of the cells are not log-normalised counts"):
        causalbench.as_screen(values, labels, genes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, label, genes: (x, label, genes[:-1]), "but there are 700 interventions and 5"),
        (lambda x, label, genes: (x, ["non-targeting"] * len(label), genes), "observational"),
        (lambda x, label, genes: (x, [genes[0]] * len(label), genes), "no cell has the label"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(screen, change, says):
    with pytest.raises(DataError, match=says):
        causalbench.infer_network(*change(*screen[:3]))


def test_arguments_out_of_range():
    with pytest.raises(ConfigError, match="n_edges=0 must be at least 1"):
        causalbench.network_method(n_edges=0)
    with pytest.raises(ConfigError, match="fdr=2 must be between"):
        causalbench.network_method(fdr=2)


def test_without_causalbench_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "causalscbench", None)
    with pytest.raises(ConfigError, match=MISSING):
        causalbench.network_method()


def test_the_method_is_a_class_of_causalbench_and_returns_ranked_edges(screen, monkeypatch):
    expression, labels, genes, _ = screen
    base = type("AbstractInferenceModel", (), {})
    module = types.ModuleType("causalscbench.models.abstract_model")
    module.AbstractInferenceModel = base
    monkeypatch.setitem(sys.modules, "causalscbench", types.ModuleType("causalscbench"))
    monkeypatch.setitem(sys.modules, "causalscbench.models", types.ModuleType("models"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    method = causalbench.network_method(n_edges=7, config=config())
    assert method.__bases__ == (base,)
    partial = np.where(labels == genes[0], "excluded", labels)  # its cells were not given
    made = method()
    edges = made(expression, list(partial), genes, "partial_interventional", seed=5)
    assert len(edges) == len(set(edges)) == 7
    assert all(source in genes[1:] and target in genes for source, target in edges)
    assert all(source != target for source, target in edges)
    strength = made.network["strength"].to_numpy()
    assert (np.diff(strength) <= 0).all() and list(made.network["rank"]) == list(range(1, 8))
    assert made(expression, list(partial), genes, None, seed=5) == edges
    every = causalbench.infer_network(expression, partial, genes, n_edges=None, config=config())
    assert len(every) == 5 * 5 and set(every["target"]) == set(genes)


def ours(expression, labels, genes, edges, pairs=10**6):
    """Return our statistics of edges among perturbed genes, on the same values."""
    column = {name: i for i, name in enumerate(genes)}
    controls = labels == "non-targeting"
    perturbation = np.array([[column.get(label, 0)] for label in labels])
    tables = two_sample_tables(
        expression.astype(float), controls, perturbation, ~controls[:, None], len(genes)
    )
    matrix = np.zeros((len(genes), len(genes)))
    for source, target in edges:
        matrix[column[source], column[target]] = 1.0
    settings = EvaluateConfig(omission_pairs=pairs, max_path_length=len(genes))
    return network_statistics(matrix, tables, genes, len(genes), settings)[0]["block"]


def test_our_statistics_are_those_of_causalbench_on_the_same_edges_and_cells(screen):
    module = pytest.importorskip("causalscbench.evaluation.statistical_evaluation", reason=MISSING)
    expression, labels, genes, _ = screen
    chain = list(itertools.pairwise(genes))  # 5 edges in a row
    found = ours(expression, labels, genes, chain)
    evaluator = module.Evaluator(expression, list(labels), genes)
    omitted = 30 - 5 - 4 - 3 - 2 - 1  # all pairs without a path
    theirs = evaluator.evaluate_network(chain, -1, True, omitted)
    for name in ("true_positives", "false_positives"):
        assert theirs["output_graph"][name] == found["edges"][name]
    distance = theirs["output_graph"]["wasserstein_distance"]["mean"]
    assert distance == pytest.approx(found["edges"]["mean_wasserstein"], rel=1e-6)
    assert found["n_omission_pairs"] == omitted
    assert theirs["false_omission_rate"] == pytest.approx(found["false_omission_rate"], rel=1e-12)


def test_paths_of_causalbench_double_so_that_length_3_reaches_4(screen):
    module = pytest.importorskip("causalscbench.evaluation.statistical_evaluation", reason=MISSING)
    expression, labels, genes, _ = screen
    chain = list(itertools.pairwise(genes))
    lengths = {row["length"]: row for row in ours(expression, labels, genes, chain)["paths"]}
    evaluator = module.Evaluator(expression, list(labels), genes)
    first, second = evaluator.evaluate_network(chain, max_path_length=3)["all_path_results"]
    assert first["true_positives"] + first["false_positives"] == lengths[2]["n"] == 4
    assert second["true_positives"] + second["false_positives"] == 3 + 2
    both = lengths[3]["true_positives"] + lengths[4]["true_positives"]
    assert (lengths[3]["n"], lengths[4]["n"], second["true_positives"]) == (3, 2, both)


def test_the_method_through_causalbenchs_own_files_and_evaluation(screen, tmp_path):
    splitting = pytest.importorskip("causalscbench.data_access.utils.splitting", reason=MISSING)
    module = pytest.importorskip("causalscbench.evaluation.statistical_evaluation", reason=MISSING)
    expression, labels, genes, _ = screen
    path = tmp_path / "screen.npz"
    np.savez(path, expression_matrix=expression, var_names=genes, interventions=labels)
    splitter = splitting.DatasetSplitter(str(path))
    x, interventions, names = splitter.get_interventional()
    edges = causalbench.network_method(n_edges=6, config=config())()(x, interventions, names, None)
    assert len(edges) == 6
    test, of_test, names = splitter.get_test_data()
    theirs = module.Evaluator(test, of_test, names).evaluate_network(edges, -1)["output_graph"]
    found = ours(test, np.asarray(of_test), list(names), edges)["edges"]
    assert theirs["true_positives"] == found["true_positives"]
    distance = theirs["wasserstein_distance"]["mean"]
    assert distance == pytest.approx(found["mean_wasserstein"], rel=1e-6)
