"""Training with propagated effects: sizes from the data, where it starts, and what it learns."""

import dataclasses

import jax
import numpy as np
import pytest

from gpo_vae_jax import data, presets
from gpo_vae_jax.evaluate.effects.conditional_effects import conditional_effects
from gpo_vae_jax.evaluate.effects.effect_scores import pearson_r
from gpo_vae_jax.evaluate.effects.observed_effects import (
    conditions_of_labels,
    effects_of,
    perturbations_of,
    split_sums,
)
from gpo_vae_jax.evaluate.network.calibration import calls_of
from gpo_vae_jax.evaluate.network.edges import edge_effects, edge_probabilities, edge_strengths
from gpo_vae_jax.evaluate.network.recovery import recovery
from gpo_vae_jax.predict.conditions import conditions_of
from gpo_vae_jax.predict.mean_effects import acting_shares
from gpo_vae_jax.predict.sampling import Draw, draw_cells
from gpo_vae_jax.train.chosen_sizes import with_sizes
from gpo_vae_jax.train.training import initial_states, train
from tests.tiny import tiny_dataset


def small(**simulate):
    """Return the demo with fewer cells and genes, and few epochs."""
    demo = presets.demo()
    settings = {"n_cells": 1500, "n_genes": 40, "n_perturbed": 8, "n_extended": 2, **simulate}
    return dataclasses.replace(
        demo,
        simulate=dataclasses.replace(demo.simulate, **settings),
        model=dataclasses.replace(
            demo.model, n_latent=4, basal_encoder_n_hidden=16, decoder_n_hidden=16
        ),
        train=dataclasses.replace(demo.train, batch_size=128, max_epochs=60),
    )


@pytest.fixture(scope="module")
def found():
    config = small()
    dataset = data.from_config(config)
    return dataset, train(dataset, config)


def test_calls_at_an_expected_rate_are_right(found):
    """After so little training few edges are sure, so the rate is a high one."""
    dataset, trained = found
    calls = calls_of(trained.params, 0.3, spec=trained.spec)
    true = np.asarray(dataset.true_network) != 0
    assert true[calls.called].mean() > 0.65
    assert (true & calls.called).sum() > 0.4 * true[: dataset.n_perturbed].sum()


def test_it_finds_the_network_and_its_signs(found):
    dataset, trained = found
    params, spec, truth = trained.params, trained.spec, dataset.true_network
    ranked = recovery(edge_strengths(params, spec=spec), truth, dataset.n_perturbed)
    assert ranked.auprc > 4 * ranked.random_auprc and ranked.auprc > 0.8
    called = edge_probabilities(params, spec=spec) > 0.5
    shared = called & (truth != 0)
    shared[dataset.n_perturbed :] = False
    assert shared.sum() > 5
    signs = np.sign(edge_effects(params, spec=spec))[shared] == np.sign(truth[shared])
    assert signs.mean() > 0.9


def test_its_network_predicts_unseen_cells(found):
    dataset, trained = found
    labels = perturbations_of(dataset)
    predicted = conditional_effects(trained.params, dataset, labels, spec=trained.spec, n_cells=200)
    observed = effects_of(split_sums(dataset, "test", labels))["perturbseq"]
    for name, effects in predicted.effects.items():
        assert pearson_r(observed, effects["perturbseq"], 0) > 0.7, name
        error = predicted.errors[name]["perturbseq"]  # larger where an edge is there or not
        assert np.sqrt(np.square(error).mean()) < 0.15 < np.abs(observed).max()


def test_predictions_do_not_depend_on_memory(found):
    dataset, trained = found
    labels = perturbations_of(dataset)[:3]
    plain, small_memory = (
        conditional_effects(
            trained.params, dataset, labels, spec=trained.spec, n_cells=40, memory_gib=gib
        ).effects
        for gib in (2.0, 1e-9)
    )
    for name, effects in plain.items():
        for transform, values in effects.items():
            np.testing.assert_allclose(
                small_memory[name][transform], values, rtol=1e-3, atol=1e-3, err_msg=name
            )


def test_lanes_of_a_vmap_are_single_runs():
    config = small(n_cells=400)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, max_epochs=3))
    dataset = data.from_config(config)
    both = train(dataset, config, seeds=(3, 4), together=True)
    for i, seed in enumerate((3, 4)):
        alone = train(dataset, config, seeds=seed)
        for ours, theirs in zip(
            jax.tree.leaves(both[i].params), jax.tree.leaves(alone.params), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def test_the_start_is_the_linear_solution_with_noise_of_its_own_for_each_seed():
    config = small(n_cells=600)
    dataset = data.from_config(config)
    plain = dataclasses.replace(
        config, model=dataclasses.replace(config.model, effect_init="random")
    )

    def means(config):
        states = initial_states(dataset, config, (0, 1))
        return [np.asarray(s.current.params["guide"]["embedding_mean"]) for s in states]

    (first, second), (noise, _) = means(config), means(plain)
    start = first - 0.3 * noise
    assert np.abs(start).max() > 0.5
    np.testing.assert_allclose(second - first, 0.3 * (means(plain)[1] - noise), atol=1e-5)
    logits = initial_states(dataset, config, (0,))[0].current.params["guide"]["mask_logits"]
    direct = np.abs(np.where(np.eye(len(start), dtype=bool), 0, start))
    assert (logits[direct > 0.3] > 4).all() and (direct > 0.3).sum() > 3
    assert (logits[(direct > 0) & (direct < 0.05)] == -3).all()
    own = np.diagonal(start)[: dataset.n_perturbed]
    assert (own < -0.5).all()  # knock-downs


@pytest.mark.parametrize(
    ("n_cells", "batch", "epochs"), [(150, 128, 100), (20_000, 256, 86), (200_000, 512, 20)]
)
def test_sizes_that_are_open_are_chosen_from_the_data(n_cells, batch, epochs):
    dataset = tiny_dataset(n_cells=n_cells)
    open_ = presets.accurate()
    config, chosen = with_sizes(open_, dataset)
    assert chosen["train.batch_size"] == config.train.batch_size == batch
    assert chosen["train.max_epochs"] == config.train.max_epochs == epochs
    assert chosen["model.n_latent"] == config.model.n_latent == 20
    given = dataclasses.replace(open_, train=dataclasses.replace(open_.train, batch_size=64))
    config, chosen = with_sizes(given, dataset)
    assert config.train.batch_size == 64 and "train.batch_size" not in chosen
    assert with_sizes(presets.rpe1(), dataset) == (presets.rpe1(), {})


def test_it_learns_how_many_cells_escape():
    """Its expectation over both kinds of cells is what sampled cells have on average."""
    config = small(escape_fraction=0.4, n_cells=3000)
    dataset = data.from_config(config)
    trained = train(dataset, config)
    labels = perturbations_of(dataset)
    conditions = conditions_of_labels(dataset, labels)
    acting = acting_shares(trained.params, conditions, spec=trained.spec)
    assert acting.shape == (8,)
    np.testing.assert_allclose(acting.mean(), 0.6, atol=0.1)  # it starts at 0.9
    always = dataclasses.replace(
        trained.spec, model=dataclasses.replace(trained.spec.model, escape_prior=0.0)
    )
    assert acting_shares(trained.params, conditions, spec=always) is None

    def effect_on_own_gene(spec):
        draw = Draw(0, 4000, library_size=4000.0, expected=True)
        cells = np.zeros((8, len(dataset.genes)))
        for chunk in draw_cells(trained.params, conditions, draw, spec=spec):
            cells[chunk.conditions] += chunk.values.sum(0) / 4000
        at = [list(dataset.genes).index(label) for label in labels]
        return cells[np.arange(8), at]

    control = np.zeros(len(dataset.genes))
    for chunk in draw_cells(
        trained.params,
        conditions_of([()], ()),
        Draw(0, 4000, library_size=4000.0, expected=True),
        spec=always,
    ):
        control += chunk.values.sum((0, 1)) / 4000
    own = control[[list(dataset.genes).index(label) for label in labels]]
    mixed = acting * effect_on_own_gene(always) + (1 - acting) * own
    np.testing.assert_allclose(effect_on_own_gene(trained.spec), mixed, rtol=0.12)
