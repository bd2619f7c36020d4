"""The objective against an independent NumPy reference, and identities it must fulfil."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.config import ReweightConfig
from gpo_vae_jax.objective import loss
from gpo_vae_jax.original import state_dict
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Noise, Sizes
from tests import reference
from tests.builders import Case, configure, make_case

TERMS = ("reconstruction", "mask", "embedding", "quality", "basal")
WEIGHTS = ReweightConfig(
    prior=(0.5, 2.0, 3.0, 0.7), term=(1.5, 0.0, 0.3, 2.0), observation=(4.0, 0.2, 7.0)
)
MEAN_FIELD, PROBS = {"mean_field_encoder": True}, {"logits_or_probs": "probs"}
SMALL_COEFFICIENTS = {"hop": 2, "gloss_coeff": 0.5, "penalty_coeff": 0.5}
SUM = {"sum_mode": True, "n_latent": 4}
IWELBO = configure(objective={"objective": "iwelbo"})

run = jax.jit(loss, static_argnames="spec")
slope = jax.jit(jax.grad(loss, has_aux=True), static_argnames="spec")


def sizes(t: int = 4, r: int = 3, q: int = 1) -> Sizes:
    return Sizes(n_genes=7, n_treatments=t, n_perturbed=r, n_quality=q)


# name: settings of the model, settings of the objective, what is special about the data
CASES = {
    "defaults": ({}, {}, {}),
    "mean_field": (MEAN_FIELD, {}, {}),
    "mean_field_exact_kl": (
        MEAN_FIELD,
        {"counterfactual_kl": "exact", "alpha": 1.0},
        {"width": 2, "sizes": sizes(q=2)},
    ),
    "combinations_exact_kl": (
        {},
        {"counterfactual_kl": "exact", "beta": 2.0},
        {"width": 3, "n_cells": 9, "sizes": sizes(t=6, r=4)},
    ),
    "quality_columns": ({}, SMALL_COEFFICIENTS, {"sizes": sizes(q=2), "n_cells": 9, "width": 2}),
    "fewer_cells_than_treatments": ({}, {"alpha": 0.0}, {"n_cells": 2, "sizes": sizes(t=5, r=5)}),
    "iwelbo": ({}, {"objective": "iwelbo"}, {"n_particles": 3}),
    "reweighted": (
        {},
        {"objective": "reweighted_elbo", "reweight": WEIGHTS},
        {"sizes": sizes(q=2), "n_cells": 9},
    ),
    "fixed_alpha": ({}, {"alpha": 0.3, "hop": 1}, {}),
    "probs": (PROBS, {"fc_criteria": 0.8}, {"width": 2, "sizes": sizes(t=5, r=3)}),
    "probs_sum_mean_field_iwelbo": (
        {**PROBS, **SUM, **MEAN_FIELD},
        {"objective": "iwelbo", **SMALL_COEFFICIENTS},
        {"sizes": sizes(q=2), "width": 2},
    ),
    "sum_mode": (SUM, {"hop": 3}, {"width": 2, "sizes": sizes(q=2)}),
    "poisson_temperature_no_normalisation": (
        {"likelihood_key": "poisson", "temperature": 0.3, "input_normalization": "none"},
        {"hop": 4},
        {"width": 2},
    ),
    "normal_other_priors_unused_weights": (
        {"likelihood_key": "normal", "mask_prior": 0.01, "embedding_prior_scale": 2.5},
        {"reweight": WEIGHTS},
        {"width": 2},
    ),
    "normal_fixed_variance_standardize_other_depths": (
        {
            "likelihood_key": "normal_fixed_variance",
            "input_normalization": "standardize",
            "basal_encoder_n_layers": 3,
            "embedding_encoder_n_layers": 1,
            "decoder_n_layers": 0,
        },
        {"hop": 0},
        {"sizes": sizes(q=2)},
    ),
}


@functools.cache
def case_of(name: str) -> Case:
    model, objective, data = CASES[name]
    return make_case(configure(model, objective), **data)


def parts_of(case: Case) -> dict[str, float]:
    total, parts = run(*case.arrays, spec=case.spec)
    assert float(total) == float(parts["loss"])
    return {name: float(value) for name, value in parts.items()}


def assert_same_parts(ours, expected, **tolerance):
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, err_msg=name, **tolerance)


@pytest.mark.parametrize("name", CASES)
def test_every_part_equals_the_numpy_reference(name):
    case = case_of(name)
    assert_same_parts(parts_of(case), reference.objective(case), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_treatments_without_cells_and_uneven_weights_equal_the_reference(seed):
    model, objective, data = CASES["quality_columns"]
    case = make_case(configure(model, objective), seed=seed, **data)
    context = case.context._replace(
        treatment_cells=case.context.treatment_cells.at[1].set(0),
        quality_cells=case.context.quality_cells.at[0].set(0),
    )
    weight = jnp.asarray([1, 1, 0, 1, 1, 0, 1, 1, 0], jnp.float32)
    case = case._replace(context=context, batch=case.batch._replace(weight=weight))
    assert_same_parts(parts_of(case), reference.objective(case), rtol=1e-5, atol=1e-6)


def test_mask_entries_that_are_not_finite_are_read_as_zero():
    case = case_of("defaults")
    spoilt = case.params["guide"]["mask_logits"].at[0, 1].set(jnp.nan).at[2, 3].set(jnp.inf)
    params = {**case.params, "guide": {**case.params["guide"], "mask_logits": spoilt}}
    case = case._replace(params=params)
    assert_same_parts(parts_of(case), reference.objective(case), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["quality_columns", "probs_sum_mean_field_iwelbo"])
def test_gradients_equal_central_differences_of_the_reference(name):
    case = case_of(name)
    gradients, _ = slope(*case.arrays, spec=case.spec)
    gradients = state_dict.to_torch(gradients, case.spec)
    state = state_dict.to_torch(case.params, case.spec)
    state = {key: np.asarray(value, np.float64) for key, value in state.items()}
    rng, step = np.random.default_rng(0), 1e-6
    for entry in state_dict.entries(case.spec.model):
        key, gradient = entry.torch, np.asarray(gradients[entry.torch], np.float64)
        direction = rng.normal(size=gradient.shape)
        direction /= np.linalg.norm(direction)
        ends = [
            reference.objective(case, {**state, key: state[key] + sign * step * direction})["loss"]
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(
            (gradient * direction).sum(),
            (ends[0] - ends[1]) / (2 * step),
            err_msg=key,
            rtol=2e-4,
            atol=2e-5 * np.linalg.norm(gradient) + 1e-7,
        )


def test_order_of_cells_does_not_matter():
    case = case_of("combinations_exact_kl")
    order = np.random.default_rng(0).permutation(case.batch.weight.size)
    shuffled = case._replace(
        batch=jax.tree.map(lambda leaf: leaf[order], case.batch),
        noise=case.noise._replace(basal=case.noise.basal[:, order]),
    )
    assert_same_parts(parts_of(shuffled), parts_of(case), rtol=1e-5, atol=1e-6)


def test_parts_of_a_split_batch_add_up():
    case = case_of("fixed_alpha")
    halves = [take(case, slice(0, 4)), take(case, slice(4, 6))]
    whole, first, second = (parts_of(part) for part in (case, *halves))
    for name in (*TERMS, "grn"):
        average = (4 * first[name] + 2 * second[name]) / 6
        np.testing.assert_allclose(whole[name], average, err_msg=name, rtol=1e-5, atol=1e-6)
    kl = first["counterfactual_kl"] + second["counterfactual_kl"]
    np.testing.assert_allclose(whole["counterfactual_kl"], kl, rtol=1e-5)
    assert whole["penalty"] == first["penalty"]


def test_rows_of_weight_zero_change_neither_loss_nor_gradients():
    case = case_of("quality_columns")
    other = make_case(sizes=case.spec.sizes, seed=7, n_cells=3, width=2)
    filler = other.batch._replace(
        counts=100 * other.batch.counts.at[2].set(0),
        library_size=other.batch.library_size.at[2].set(0),
        qc_fail=jnp.ones_like(other.batch.qc_fail),
        weight=jnp.zeros(3),
    )
    padded = case._replace(
        batch=jax.tree.map(lambda a, b: jnp.concatenate([a, b]), case.batch, filler),
        noise=join_noise(case.noise, other.noise),
    )
    gradients, parts = slope(*case.arrays, spec=case.spec)
    padded_gradients, padded_parts = slope(*padded.arrays, spec=padded.spec)
    assert_same_parts(padded_parts, parts, rtol=1e-5, atol=1e-6)
    for (path, ours), expected in zip(
        jax.tree_util.tree_leaves_with_path(padded_gradients),
        jax.tree.leaves(gradients),
        strict=True,
    ):
        at = 1e-5 * float(jnp.abs(expected).max()) + 1e-7
        np.testing.assert_allclose(ours, expected, err_msg=str(path), rtol=1e-4, atol=at)


def test_iwelbo_of_one_particle_is_the_elbo():
    parts = parts_of(make_case(IWELBO, n_particles=1))
    np.testing.assert_allclose(parts.pop("loss"), sum(parts.values()), rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_iwelbo_is_above_the_elbo(seed):
    case = make_case(IWELBO, n_particles=3, seed=seed)
    parts = parts_of(case)
    elbo = -sum(parts[name] for name in TERMS)
    iwelbo = parts["counterfactual_kl"] + parts["grn"] + parts["penalty"] - parts["loss"]
    assert iwelbo > elbo + 1e-3


def test_reweighted_elbo_with_all_ones_is_the_elbo():
    case = case_of("defaults")
    ones = case._replace(
        spec=Spec.of(configure(objective={"objective": "reweighted_elbo"}), case.spec.sizes)
    )
    assert_same_parts(parts_of(ones), parts_of(case), rtol=1e-6)


def test_cells_without_counterfactual_have_no_counterfactual_kl():
    case = case_of("defaults")
    nothing = jnp.zeros_like(case.batch.counterfactual)
    assert parts_of(case)["counterfactual_kl"] > 0
    case = case._replace(batch=case.batch._replace(counterfactual=nothing))
    assert parts_of(case)["counterfactual_kl"] == 0


def test_vmap_over_parameters_is_a_loop():
    case = case_of("defaults")
    cases = [case, case._replace(params=jax.tree.map(lambda leaf: 0.5 * leaf, case.params))]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(c.params for c in cases))
    function = jax.vmap(functools.partial(loss, spec=case.spec), in_axes=(0, None, None, None))
    _, parts = jax.jit(function)(stacked, *case.arrays[1:])
    for i, single in enumerate(cases):
        ours = {name: values[i] for name, values in parts.items()}
        assert_same_parts(ours, parts_of(single), rtol=1e-5, atol=1e-6)


def take(case: Case, rows: slice) -> Case:
    """Return the case of some of its cells."""
    batch = jax.tree.map(lambda leaf: leaf[rows], case.batch)
    return case._replace(batch=batch, noise=case.noise._replace(basal=case.noise.basal[:, rows]))


def join_noise(first: Noise, second: Noise) -> Noise:
    """Add the cells of the second to the first, whose shared noise stays."""
    return first._replace(basal=jnp.concatenate([first.basal, second.basal], axis=1))
