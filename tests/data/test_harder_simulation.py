"""Loops, saturation, hidden genes, escaped cells, batches: each there, and nothing else changed."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components, shortest_path

from gpo_vae_jax.config import PrepareConfig, SimulateConfig
from gpo_vae_jax.data import from_anndata, prepare, simulate
from gpo_vae_jax.data.prepared.simulated_truth import TRUTH
from gpo_vae_jax.data.simulation import propagate
from gpo_vae_jax.data.simulation.simulated_network import draw_network
from gpo_vae_jax.errors import ConfigError

DEMO = SimulateConfig(n_cells=300)
PLAIN = SimulateConfig(
    n_cells=6000, n_genes=60, n_perturbed=4, n_extended=6, fail_fraction=0, doublet_fraction=0
)


def changed(base, **settings):
    return dataclasses.replace(base, **settings)


def truth(config):
    return simulate(config).uns[TRUTH]


def network(**settings):
    config = changed(DEMO, **settings)
    return draw_network(np.random.default_rng(config.seed), config)


def log_means(adata, cells):
    """Return the log mean count of each gene over some cells, by its name."""
    return np.log(adata.to_df()[np.asarray(cells)].mean() + 1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_every_added_edge_closes_a_loop(seed):
    plain, found = network(seed=seed), network(seed=seed, cycles=0.1)
    weights, closing = found.weights, found.closing
    assert closing.sum() == np.ceil(0.1 * np.count_nonzero(plain.weights)) >= 5
    assert not plain.closing.any()
    np.testing.assert_array_equal(np.where(closing, 0, weights), plain.weights)
    upstream = np.isfinite(shortest_path(plain.weights != 0, unweighted=True))
    for source, target in np.argwhere(closing):
        assert source != target and upstream[target, source]
    assert (np.abs(weights[closing]) >= 0.4 * 0.8).all()
    n_loops, _ = connected_components(weights != 0, connection="strong")
    assert n_loops < len(weights) == connected_components(plain.weights, connection="strong")[0]


@settings(max_examples=40)
@given(
    st.integers(0, 2**32 - 1), st.integers(2, 60), st.floats(0.05, 1), st.floats(0.05, 1.3),
    st.sampled_from([0.0, 0.7]),
)  # fmt: skip
def test_changes_with_loops_are_the_finite_fixed_point(seed, n, cycles, effect, saturation):
    try:
        weights = network(
            seed=seed, n_perturbed=n, n_extended=1, cycles=cycles, effect=effect, edges_per_gene=3
        ).weights
    except ConfigError as error:
        assume("all would gain too much" not in str(error))  # such a case is refused, not wrong
        raise
    assert np.abs(np.linalg.eigvals(np.abs(weights))).max() < 0.96
    change = propagate(weights, (0,), -2.0, saturation)
    sums = change @ weights
    expected = saturation * np.tanh(sums / saturation) if saturation else sums
    assert change[0] == -2
    np.testing.assert_allclose(change[1:], np.clip(expected, -2.5, 2.5)[1:], atol=1e-8)


def test_negative_feedback_is_solved_exactly():
    weights = np.zeros((3, 3))
    weights[0, 1], weights[1, 2], weights[2, 1] = 0.5, 0.8, -0.8
    first = -1 / (1 + 0.64)
    np.testing.assert_allclose(propagate(weights, (0,), -2.0), [-2, first, 0.8 * first], atol=1e-8)


def test_loops_that_do_not_settle_are_an_error():
    weights = np.zeros((3, 3))
    weights[0, 1], weights[1, 2], weights[2, 1] = 1, 1.5, -1.5
    with pytest.raises(ValueError, match="do not settle"):
        propagate(weights, (0,), -2.0)


def test_effects_too_large_for_any_loop_are_an_error():
    assert network(effect=3.0).weights.any()
    with pytest.raises(ConfigError, match=r"simulate\.cycles=0\.2 adds no loop.*effect=3"):
        network(effect=3.0, cycles=0.2)


def test_responses_level_off():
    weights = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    one, both = (propagate(weights, held, -2.0, 1.0)[2] for held in ((0,), (0, 1)))
    np.testing.assert_allclose([one, both], [-np.tanh(1), -np.tanh(2)])
    linear, limit = truth(changed(DEMO, effect=1.5)), truth(changed(DEMO, effect=1.5, saturation=1))
    np.testing.assert_array_equal(linear["weights"], limit["weights"])
    held = limit["effects"] < -1.5  # knocked down
    assert held.sum() == 20 + 2 * 20  # alone, and in pairs
    assert np.abs(limit["effects"][~held]).max() <= 1 < np.abs(linear["effects"][~held]).max()


def test_hidden_genes_act_but_are_nowhere_in_the_data():
    shown = changed(DEMO, effect=0.3, seed=1)  # so small that no change is limited
    plain, adata = simulate(shown), simulate(changed(shown, n_hidden=15))
    assert set(adata.var_names) == set(plain.var_names)
    found, before = adata.uns[TRUTH], plain.uns[TRUTH]
    assert list(found["names"]) == list(before["names"]) and "through_hidden" not in before
    np.testing.assert_array_equal(found["weights"], before["weights"])
    assert found["effects"].shape == before["effects"].shape
    assert np.abs(found["effects"] - before["effects"]).max() > 0.1
    assert np.count_nonzero(found["through_hidden"]) > 10
    for label, effects in zip(found["labels"], found["effects"], strict=True):
        free = ~np.isin(found["names"], label.split("+"))
        through = effects @ (found["weights"] + found["through_hidden"])
        np.testing.assert_allclose(effects[free], through[free], atol=1e-5)


def test_the_influence_of_hidden_genes_is_in_the_counts():
    config = changed(PLAIN, effect=1.0, median_umi=20_000, n_hidden=20, seed=2)
    adata = simulate(config)
    labels = adata.obs["perturbation"].astype(str)
    control = log_means(adata, labels == "non-targeting")
    found = adata.uns[TRUTH]
    plain = truth(changed(config, n_hidden=0))
    gene, target = np.unravel_index(
        np.abs(found["effects"] - plain["effects"])[1 : config.n_perturbed + 1].argmax(), (4, 10)
    )
    label, name = found["names"][[gene, target]]
    seen = (log_means(adata, labels == label) - control)[name]
    expected, without = found["effects"][gene + 1, target], plain["effects"][gene + 1, target]
    assert abs(expected - without) > 0.8 and abs(seen - expected) < 0.2


def test_escaped_cells_keep_their_label_and_look_like_controls():
    adata = simulate(changed(PLAIN, escape_fraction=0.3))
    labels, escaped = adata.obs["perturbation"].astype(str), adata.obs["escaped_true"]
    perturbed = labels != "non-targeting"
    assert 0.27 < escaped[perturbed].mean() < 0.33 and not escaped[~perturbed].any()
    control = log_means(adata, ~perturbed)
    expressed = control.index[control > 0]
    for label in set(labels[perturbed]):
        changes = log_means(adata, escaped & (labels == label)) - control
        assert np.abs(changes[expressed]).max() < 0.35
        acted = log_means(adata, ~escaped & (labels == label)) - control
        assert acted[label] < -1.5
    assert "escaped_true" not in simulate(SimulateConfig(n_cells=50)).obs


def test_batches_shift_the_expression_of_all_perturbations():
    spreads = []
    for effect in (0.0, 0.4):
        adata = simulate(changed(PLAIN, n_batches=3, batch_effect=effect, control_fraction=0.9))
        batch, labels = adata.obs["batch"], adata.obs["perturbation"].astype(str)
        assert set(batch) == {"batch0", "batch1", "batch2"}
        share = (batch == "batch0").groupby(labels).mean()
        assert share.between(0.2, 0.45).all()
        control = labels == "non-targeting"
        first, second = (log_means(adata, control & (batch == f"batch{i}")) for i in (0, 1))
        spreads.append((first - second)[first > 0].std())
    assert spreads[0] < 0.1 and abs(spreads[1] / (0.4 * 2**0.5) - 1) < 0.3
    assert "batch" not in simulate(SimulateConfig(n_cells=50)).obs


def test_the_seed_decides_everything_at_once():
    hard = changed(
        DEMO, cycles=0.2, saturation=1.0, n_hidden=5, escape_fraction=0.3, n_batches=3, seed=4
    )
    first, again, other = (simulate(changed(hard, seed=seed)) for seed in (4, 4, 5))
    assert (first.X != again.X).nnz == 0 and first.obs.equals(again.obs)
    for name, value in first.uns[TRUTH].items():
        np.testing.assert_array_equal(value, again.uns[TRUTH][name])
    for column in ("batch", "escaped_true"):
        assert (first.obs[column].to_numpy() != other.obs[column].to_numpy()).any()
    assert not np.array_equal(first.uns[TRUTH]["closing"], other.uns[TRUTH]["closing"])


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_quality_control_finds_few_and_many_failed_cells(share):
    raw = simulate(SimulateConfig(n_cells=2000, n_genes=80, n_perturbed=8, fail_fraction=share))
    prepared = prepare(raw, PrepareConfig(extended_genes="none"))
    failed, true = prepared.obs["qc_fail"].astype(bool), prepared.obs["qc_fail_true"]
    assert abs(true.mean() - share) < 0.02
    assert failed[true].mean() > 0.95 and failed[~true].mean() < 0.15
    train = from_anndata(prepared).splits["train"].cells
    assert abs(train.qc_fail.mean() - failed.mean()) < 0.03


def test_five_hundred_network_genes():
    adata = simulate(
        SimulateConfig(n_cells=500, n_genes=1000, n_perturbed=40, n_extended=460, cycles=0.02)
    )
    found = adata.uns[TRUTH]
    assert adata.shape == (500, 1000) and found["weights"].shape == (500, 500)
    assert found["effects"].shape == (81, 500) and found["closing"].sum() == 20
    assert np.abs(found["effects"]).max() <= 2.5
