"""The guide: samples of the network's rows, posteriors of cells, initial and spoilt masks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.data.input_statistics import input_statistics
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model import bind, init_params
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import SharedNoise, Sizes
from tests.builders import SIZES, Case, configure, make_case

T = SIZES.n_treatments
SPEC = Spec(SIZES, configure().model)
KINDS = pytest.mark.parametrize("kind", ["logits", "probs"])


def guide_of(case: Case, params=None):
    return bind(case.params if params is None else params, case.spec).guide


def with_mask(case: Case, values) -> dict:
    name = f"mask_{case.spec.model.logits_or_probs}"
    return {**case.params, "guide": {**case.params["guide"], name: values}}


def initial_mask(spec=SPEC, **start):
    """Return the mask that parameters start with; the others are not computed."""

    def mask(key):
        params = init_params(key, spec, **start)
        return params["guide"][f"mask_{spec.model.logits_or_probs}"]

    return np.asarray(jax.jit(mask)(jax.random.key(0)))


def basal_of(case: Case, batch):
    guide = guide_of(case)
    shared = guide.sample_shared(case.noise.shared)
    effects = guide.effects(shared, batch)
    return guide.basal_posterior(batch, case.context.statistics, effects, shared.quality)


def test_rows_of_perturbed_treatments_do_not_depend_on_sampling_the_others():
    case = make_case()
    noise = case.noise.shared
    some = guide_of(case).sample_shared(noise)
    extra = np.ones((2, 1, T), np.float32)
    complete = SharedNoise(
        *(jnp.concatenate([rows, extra], 1) for rows in (noise.mask, noise.embedding)),
        noise.quality,
    )
    spec = dataclasses.replace(case.spec, sizes=Sizes(7, T, T))
    all_rows = bind(case.params, spec).guide.sample_shared(complete)
    for name in ("mask", "embedding", "log_q_mask", "log_q_embedding"):
        ours, expected = getattr(some, name), getattr(all_rows, name)
        assert (ours.shape[1], expected.shape[1]) == (SIZES.n_perturbed, T)
        np.testing.assert_allclose(ours, expected[:, : SIZES.n_perturbed], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(some.quality, all_rows.quality)


@pytest.mark.parametrize("mean_field", [True, False])
def test_only_the_mean_field_posterior_ignores_perturbation_and_quality(mean_field):
    case = make_case(configure({"mean_field_encoder": mean_field}))
    batch = case.batch
    posterior = basal_of(case, batch)
    flipped = {
        "quality": batch._replace(qc_fail=1 - batch.qc_fail),
        "perturbation": batch._replace(dosage=1 - batch.dosage),
    }
    for name, changed in flipped.items():
        same = np.allclose(basal_of(case, changed).mean, posterior.mean)
        assert same == mean_field, name
    changed = batch._replace(counts=batch.counts + 1)
    assert not np.allclose(basal_of(case, changed).mean, posterior.mean)
    assert posterior.mean.shape[1:] == (6, 3)


@pytest.mark.parametrize("kind", ["log_standardize", "standardize"])
def test_a_gene_without_variance_enters_the_encoder_with_scale_one(kind):
    case = make_case(configure({"input_normalization": kind}))
    train = np.random.default_rng(0).poisson(4.0, (50, 7)).astype(np.float32)
    train[:, 2] = 3
    statistics = jax.tree.map(jnp.asarray, input_statistics(train))
    cell = train[:1].copy()
    cell[0, 2] = 8
    guide = guide_of(case)
    change = guide.encode_counts(cell, statistics) - guide.encode_counts(train[:1], statistics)
    row = case.params["guide"]["basal_encoder"]["mlp"]["first"]["kernel_expression"][2]
    distance = np.log(9 / 4) if kind == "log_standardize" else 5.0
    np.testing.assert_allclose(change[0], distance * np.asarray(row), rtol=1e-4, atol=1e-5)


@KINDS
def test_mask_entries_that_are_not_finite_are_zero_without_gradient(kind):
    case = make_case(configure({"logits_or_probs": kind}))
    values = jnp.full((T, T), 0.25).at[0, 1].set(jnp.nan).at[1, 2].set(jnp.inf)
    values = values.at[3, 3].set(-jnp.inf)
    spoilt = ~np.isfinite(np.asarray(values))

    def total(values):
        guide = guide_of(case, with_mask(case, values))
        sample = guide.sample_shared(case.noise.shared)
        return guide.mask_probs().sum() + sample.log_q_mask.sum() + sample.mask.sum()

    gradient = jax.grad(total)(values)
    np.testing.assert_array_equal(np.asarray(gradient)[spoilt], 0)
    assert (np.asarray(gradient)[~spoilt] != 0).all()
    probs = guide_of(case, with_mask(case, values)).mask_probs()
    np.testing.assert_allclose(np.asarray(probs)[spoilt], 0.5 if kind == "logits" else 0)


def test_probs_beyond_their_range_are_clamped_everywhere():
    case = make_case(configure({"logits_or_probs": "probs"}))
    values = jnp.full((T, T), 0.25).at[0, 1].set(1.5).at[1, 2].set(-0.5)
    expected = values.at[0, 1].set(1).at[1, 2].set(0)
    guide = guide_of(case, with_mask(case, values))
    np.testing.assert_array_equal(guide.mask_values(), expected)
    np.testing.assert_array_equal(guide.mask_probs(), expected)
    mask = guide.sample_shared(case.noise.shared).mask
    np.testing.assert_array_equal(mask[:, 0, 1], 1)
    np.testing.assert_array_equal(mask[:, 1, 2], 0)


@KINDS
def test_prior_knowledge_starts_the_mask_at_its_probabilities(kind):
    case = make_case(configure({"logits_or_probs": kind}))
    knowledge = np.random.default_rng(0).random((T, T))
    knowledge[0, :3] = [0, 1, np.nan]
    knowledge[1, 1] = np.inf
    values = initial_mask(case.spec, knowledge=knowledge)
    probs = np.asarray(guide_of(case, with_mask(case, jnp.asarray(values))).mask_probs())
    unknown = ~np.isfinite(knowledge)
    np.testing.assert_allclose(probs[~unknown], knowledge[~unknown], rtol=1e-4, atol=1e-6)
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(values[unknown], 0)


def test_the_mask_starts_at_mask_init_without_prior_knowledge():
    values = initial_mask(mask_init=-1.5)
    np.testing.assert_array_equal(values, np.full((T, T), -1.5))


@pytest.mark.parametrize(
    ("knowledge", "message"),
    [
        (np.full((T, T + 1), 0.5), rf"model\.knowledge_path.*\({T}, {T + 1}\).*\({T}, {T}\)"),
        (np.full(T, 0.5), rf"\({T},\)"),
        (np.where(np.eye(T) > 0, -0.25, 0.5), r"\[0, 0\] is -0\.25"),
        (np.where(np.eye(T, k=1) > 0, 1.5, np.nan), r"\[0, 1\] is 1\.5"),
    ],
)
def test_prior_knowledge_that_cannot_be_is_refused(knowledge, message):
    with pytest.raises(ConfigError, match=message):
        initial_mask(knowledge=knowledge)


def test_sum_mode_needs_as_many_latents_as_treatments():
    with pytest.raises(ConfigError, match=r"n_latent=3.*T=4.*n_latent=4"):
        init_params(jax.random.key(0), Spec(SIZES, configure({"sum_mode": True}).model))
