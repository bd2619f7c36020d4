"""The objective of propagated effects against its equations in float64 (docs/method.md 10)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln

from gpo_vae_jax.objective import loss
from gpo_vae_jax.types import Sizes
from tests.builders import (
    NETWORK_SIZES,
    PROPAGATED,
    PROPAGATED_OBJECTIVE,
    configure,
    make_case,
)
from tests.model.test_cell_effects import by_hand as propagated
from tests.model.test_invariance import by_hand as distance_from_controls
from tests.reference import dense_dosage

run = jax.jit(loss, static_argnames="spec")
slope = jax.jit(jax.grad(loss, has_aux=True), static_argnames="spec")
WIDE = Sizes(9, 6, 4, 2, network_genes=(8, 0, -1, 2, -1, 5))
CASES = {
    "single": (NETWORK_SIZES, {"n_cells": 30}),
    "combinations": (WIDE, {"n_cells": 12, "width": 2}),
    "quality_columns": (WIDE, {"n_cells": 14, "n_particles": 3}),
}


def made(name, *, escape=0.0, **objective):
    sizes, data = CASES[name]
    settings = {**PROPAGATED_OBJECTIVE, **objective}
    return make_case(configure({**PROPAGATED, "escape_prior": escape}, settings), sizes, **data)


@pytest.mark.parametrize("name", CASES)
def test_every_part_is_its_equation(name):
    case = made(name)
    total, parts = run(*case.arrays, spec=case.spec)
    expected = in_numpy(case)
    assert set(parts) == {*expected, "loss", "counterfactual_kl", "grn", "penalty"}
    for part, value in expected.items():
        np.testing.assert_allclose(parts[part], value, rtol=2e-5, atol=1e-5, err_msg=part)
    np.testing.assert_allclose(total, sum(expected.values()), rtol=1e-5)
    assert parts["invariance"] > 0


@pytest.mark.parametrize("name", ["single", "combinations"])
def test_every_part_is_its_equation_where_cells_may_escape(name):
    case = made(name, escape=0.2)
    _, parts = run(*case.arrays, spec=case.spec)
    for part, value in in_numpy(case).items():
        np.testing.assert_allclose(parts[part], value, rtol=2e-5, atol=1e-5, err_msg=part)
    assert parts["efficacy"] != 0


def test_particles_take_fewer_samples_of_the_network_in_turn():
    case = made("quality_columns")
    noise = case.noise._replace(shared=jax.tree.map(lambda a: a[:2], case.noise.shared))
    few = case._replace(noise=noise)
    total, parts = run(*few.arrays, spec=case.spec)
    for part, value in in_numpy(few).items():
        np.testing.assert_allclose(parts[part], value, rtol=2e-5, atol=1e-5, err_msg=part)
    in_turn = jax.tree.map(lambda a: a[jnp.array([0, 1, 0])], case.noise.shared)
    repeated = case._replace(noise=case.noise._replace(shared=in_turn))
    np.testing.assert_allclose(total, run(*repeated.arrays, spec=case.spec)[0], rtol=1e-6)
    for some, every in zip(
        jax.tree.leaves(slope(*few.arrays, spec=case.spec)[0]),
        jax.tree.leaves(slope(*repeated.arrays, spec=case.spec)[0]),
        strict=True,
    ):
        np.testing.assert_allclose(some, every, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("escape", [0.0, 0.2])
def test_gradients_are_finite_and_reach_every_parameter_that_counts(escape):
    case = made("single", escape=escape)
    gradients, _ = slope(*case.arrays, spec=case.spec)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(leaf).all(), path
        assert (np.asarray(leaf) != 0).any(), path


def test_rows_without_cells_are_learned_too():
    """An extended gene passes changes on, although no cell carries its perturbation."""
    case = made("single")
    gradients, parts = slope(*case.arrays, spec=case.spec)
    mediator = np.asarray(gradients["guide"]["mask_logits"])[case.spec.sizes.n_perturbed :]
    assert (mediator != 0).all()
    assert parts["mask"] > 0


def test_the_divergence_of_the_network_is_spread_over_the_training_cells():
    case = made("single")
    _, parts = run(*case.arrays, spec=case.spec)
    more = case._replace(context=case.context._replace(training_cells=jnp.float32(500)))
    _, fewer = run(*more.arrays, spec=case.spec)
    for name in ("mask", "embedding", "readout"):
        np.testing.assert_allclose(parts[name], 10 * fewer[name], rtol=1e-5)
    np.testing.assert_allclose(parts["reconstruction"], fewer["reconstruction"], rtol=1e-6)


def test_the_order_of_cells_does_not_matter():
    case = made("combinations")
    order = np.random.default_rng(0).permutation(12)
    moved = case._replace(
        batch=jax.tree.map(lambda a: a[order], case.batch),
        noise=case.noise._replace(basal=case.noise.basal[:, order]),
    )
    plain, other = run(*case.arrays, spec=case.spec), run(*moved.arrays, spec=case.spec)
    for name, value in plain[1].items():
        np.testing.assert_allclose(other[1][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_term_without_a_coefficient_is_not_computed():
    """Its inputs may then be anything, nan included."""
    case = made("single", invariance_coeff=0.0)
    nothing = np.full_like(case.batch.delta, np.nan)
    spoilt = case._replace(batch=case.batch._replace(delta=jnp.asarray(nothing)))
    total, parts = run(*spoilt.arrays, spec=case.spec)
    assert np.isfinite(total) and parts["grn"] == 0 and parts["counterfactual_kl"] == 0
    assert "invariance" not in parts
    published = dataclasses.replace(case.spec.objective, gloss_coeff=1.0)
    with_it = dataclasses.replace(case.spec, objective=published)
    assert np.isnan(run(*spoilt.arrays, spec=with_it)[0])


def in_numpy(case):
    """Return the parts of the loss, entry by entry in float64; gamma functions from scipy."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), case.params)
    noise = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), case.noise)
    m, o, s = case.spec.model, case.spec.objective, case.spec.sizes
    guide, decoder, batch = params["guide"], params["decoder"], case.batch
    x, qc = np.asarray(batch.counts, float), np.asarray(batch.qc_fail, float)
    library, dosage = np.asarray(batch.library_size, float), dense_dosage(batch, s.n_treatments)
    n_particles, _, n_latent = noise.basal.shape
    statistics = jax.tree.map(lambda a: np.asarray(a, np.float64), case.context.statistics)
    expression = (np.log(x + 1) - statistics.log_mean) / statistics.log_std
    c_mean, c_variance = gaussian_head(
        guide["quality_encoder"], {"constant": np.ones((s.n_quality, n_latent))}
    )
    kernel = readout_kernel(decoder["readout"], noise.readout, s)
    probs = sigmoid(guide["mask_logits"])
    reconstruction, basal_gap, quality_gap, means = [], [], [], []
    for p in range(n_particles):
        taken = p % len(noise.shared.mask)
        mask = guide["mask_logits"] + noise.shared.mask[taken] > 0
        spread = np.exp(guide["embedding_log_variance"] / 2)
        effect = guide["embedding_mean"] + spread * noise.shared.embedding[taken]
        weights = effect * mask * (1 - np.eye(s.n_treatments))
        change = np.stack([
            propagated(np.diag(effect), weights, row != 0, m.propagate) for row in dosage
        ])  # fmt: skip
        quality = c_mean + np.sqrt(c_variance) * noise.shared.quality[taken]
        inputs = {"expression": expression, "effect": change, "quality": qc @ quality}
        mean, variance = gaussian_head(guide["basal_encoder"], inputs)
        z = mean + np.sqrt(variance) * noise.basal[p]
        bad = (qc.max(1) != 0)[:, None] * quality.sum(0)
        hidden = mlp(decoder["mlp"], {"basal": z, "quality": bad})
        output = decoder["output"]
        logits = hidden @ output["kernel"] + output["bias"]
        theta = np.exp(decoder["log_concentration"])
        acting = log_counts(x, library, logits + change @ kernel, theta)
        if m.escape_prior:
            log_acts = dosage[:, : s.n_perturbed] @ np.log(sigmoid(decoder["efficacy"]["logits"]))
            escaped = log_counts(x, library, logits, theta)
            log_escapes = np.log(np.maximum(1 - np.exp(log_acts), 1e-6))
            acting = np.logaddexp(acting + log_acts, escaped + log_escapes)
        reconstruction.append(acting.mean())
        basal_gap.append(log_normal(z, 0, 1).sum(1) - log_normal(z, mean, variance).sum(1))
        of_quality = log_normal(quality, 0, 1) - log_normal(quality, c_mean, c_variance)
        failed = np.asarray(case.context.quality_cells, float)
        quality_gap.append((qc != 0) @ (of_quality.sum(1) / failed))
        means.append(mean)
    n = float(case.context.training_cells)
    present = np.where(np.eye(s.n_treatments) > 0, 1, probs)
    of_effects = kl_normal(guide["embedding_mean"], guide["embedding_log_variance"], 1.0)
    table = decoder["readout"]
    of_readout = kl_mask(sigmoid(table["mask_logits"]), m.readout_prior)
    of_readout += sigmoid(table["mask_logits"]) * kl_normal(
        table["mean"], table["log_variance"], m.readout_prior_scale
    )
    groups = np.where(dosage.any(1), dosage.argmax(1), -1)
    single = (dosage.sum(1) <= 1).all()
    distance = distance_from_controls if single else distances_of_carriers
    z = np.mean(means, axis=0)
    extra = {}
    if m.escape_prior:
        acts = sigmoid(decoder["efficacy"]["logits"])
        mean = sigmoid(decoder["efficacy"]["mean_logit"])
        prior = stats.beta.logpdf(acts, 100 * mean + 1, 100 * (1 - mean) + 1).sum()
        prior += 2 * ((1 - m.escape_prior) * np.log(mean) + m.escape_prior * np.log(1 - mean))
        extra["efficacy"] = -prior / n
    return {
        **extra,
        "reconstruction": -np.mean(reconstruction),
        "basal": -np.mean(basal_gap),
        "quality": -np.mean(quality_gap),
        "mask": kl_mask(probs, m.mask_prior).sum() / n,
        "embedding": (present * of_effects).sum() / n,
        "readout": of_readout.sum() / n,
        "invariance": o.invariance_coeff * distance(z, groups if single else dosage),
    }


def log_counts(x, library, logits, theta):
    share = np.exp(logits - logits.max(1, keepdims=True))
    mu = library[:, None] * share / share.sum(1, keepdims=True)
    rate = np.maximum(theta / (mu + 1e-4), 1e-6)
    log_p = gammaln(x + theta) - gammaln(theta) - gammaln(x + 1)
    return (log_p + theta * np.log(rate) - (x + theta) * np.log1p(rate)).sum(1)


def distances_of_carriers(z, dosage):
    """Cells with two perturbations count for both."""
    total, control = 0.0, z[~dosage.any(1)]
    for t in range(dosage.shape[1]):
        own = z[dosage[:, t] != 0]
        if len(own) > 1 and len(control) > 1:
            d = np.square(own.mean(0) - control.mean(0)).sum()
            d -= own.var(0, ddof=1).sum() / len(own) + control.var(0, ddof=1).sum() / len(control)
            total += len(own) / len(z) * max(0.0, d)
    return total


def readout_kernel(table, noise, sizes):
    entries = (table["mask_logits"] + noise.mask > 0) * (
        table["mean"] + np.exp(table["log_variance"] / 2) * noise.weight
    )
    kernel, other = np.zeros((sizes.n_treatments, sizes.n_genes)), 0
    for gene in range(sizes.n_genes):
        if gene in sizes.network_genes:
            kernel[sizes.network_genes.index(gene), gene] = 1
        else:
            kernel[:, gene] = entries[:, other]
            other += 1
    return kernel


def mlp(params, inputs):
    h = sum(x @ params["first"][f"kernel_{name}"] for name, x in inputs.items())
    h = leaky(h + params["first"]["bias"])
    for i in range(sum(name.startswith("later_") for name in params)):
        layer = params[f"later_{i}"]
        h = leaky(h @ layer["kernel"] + layer["bias"]) + h
    return h


def gaussian_head(params, inputs):
    h = mlp(params["mlp"], inputs)
    mean = h @ params["mean"]["kernel"] + params["mean"]["bias"]
    log_variance = h @ params["log_variance"]["kernel"] + params["log_variance"]["bias"]
    return mean, np.exp(log_variance) + 1e-4


def kl_mask(p, prior):
    return p * np.log(p / prior) + (1 - p) * np.log((1 - p) / (1 - prior))


def kl_normal(mean, log_variance, scale):
    ratio = np.exp(log_variance) / scale**2
    return 0.5 * (ratio + np.square(mean) / scale**2 - 1 - np.log(ratio))


def log_normal(x, mean, variance):
    return -0.5 * (np.square(x - mean) / variance + np.log(2 * np.pi * variance))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)
