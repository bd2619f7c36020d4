"""Cells drawn from a model: the distribution of counts, and what a draw depends on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.model import bind, sample_shared_noise
from gpo_vae_jax.model.count_sampling import sample_counts, sample_normal
from gpo_vae_jax.model.noise import sample_basal_noise
from gpo_vae_jax.predict import sampling
from gpo_vae_jax.predict.conditions import conditions_of
from gpo_vae_jax.predict.sampling import Draw
from tests import builders

NAMES = ("A", "B", "C", "D")  # the last is no perturbed treatment of builders.SIZES
MEANS = np.array([0.01, 0.3, 1, 5, 30, 200, 1000, 60, 900], np.float32)
CONCENTRATION = np.array([1, 0.5, 2, 10, 1, 5, 400, 0.05, 0.9], np.float32)


@pytest.fixture(scope="module")
def trained():
    return builders.make_model()


def cells(trained, groups, draw):
    conditions = conditions_of(groups, NAMES)
    found = np.full((draw.n_particles, len(groups), trained.spec.sizes.n_genes), np.nan)
    for chunk in sampling.draw_cells(trained.params, conditions, draw, spec=trained.spec):
        assert np.isnan(found[chunk.particles, chunk.conditions]).all()
        found[chunk.particles, chunk.conditions] = chunk.values
    assert not np.isnan(found).any()
    return found


draw_counts = jax.jit(sample_counts)


def counts_of(mean, concentration, genes, seed):
    """Draw a row for each row of `mean`, [N, G]."""
    n = len(mean)
    keys = jax.random.split(jax.random.key(seed), n).reshape(1, n)
    mean = jnp.asarray(mean, jnp.float32)[None]
    return np.asarray(draw_counts(keys, mean, concentration, genes))[0]


@pytest.mark.parametrize("kind", ["library_nb", "poisson"])
def test_counts_follow_their_probabilities(kind):
    n, genes = 8_000, jnp.arange(len(MEANS), dtype=jnp.uint32)
    concentration = jnp.asarray(CONCENTRATION) if kind == "library_nb" else None
    drawn = counts_of(np.broadcast_to(MEANS, (n, len(MEANS))), concentration, genes, 1)
    assert (drawn == np.rint(drawn)).all() and drawn.min() >= 0
    for values, mu, theta in zip(drawn.T, MEANS, CONCENTRATION, strict=True):
        law = stats.poisson(mu) if kind == "poisson" else stats.nbinom(theta, theta / (theta + mu))
        edges = np.unique(law.ppf(np.linspace(0, 1, 31)[1:-1]))
        share = np.diff([0, *law.cdf(edges), 1])
        found = np.diff([0, *np.searchsorted(np.sort(values), edges, side="right"), n])
        square = ((found - n * share) ** 2 / (n * share)).sum()
        assert stats.chi2.sf(square, len(share) - 1) > 1e-3, (mu, theta)
        assert abs(values.mean() - law.mean()) < 4 * law.std() / np.sqrt(n)


def test_counts_of_genes_and_rows_are_independent():
    n, g = 20_000, 30
    drawn = counts_of(np.full((n, g), 1.5), jnp.full(g, 2.0), jnp.arange(g, dtype=jnp.uint32), 0)
    between_genes = np.corrcoef(drawn.T)[np.triu_indices(g, 1)] * np.sqrt(n)
    assert np.abs(between_genes).max() < 4.5  # 435 standard normals
    neighbours = np.array([np.corrcoef(column[:-1], column[1:])[0, 1] for column in drawn.T])
    assert np.abs(neighbours * np.sqrt(n)).max() < 4


def test_a_count_depends_on_its_gene_and_row_alone():
    n, g = 5, 40
    rng = np.random.default_rng(0)
    mean = rng.gamma(1, 5, (n, g))
    theta, genes = jnp.asarray(rng.gamma(2, 1, g), jnp.float32), np.arange(g, dtype=np.uint32)
    whole = counts_of(mean, theta, genes, 3)
    order = rng.permutation(g)[:17]
    some = counts_of(mean[:, order], theta[order], genes[order], 3)
    np.testing.assert_array_equal(some, whole[:, order])


def test_values_of_normal_heads():
    n, mean = 20_000, np.array([-2.0, 0.5, 30.0], np.float32)
    variance = np.array([0.2, 4.0, 9.0], np.float32)
    keys = jax.random.split(jax.random.key(0), n).reshape(1, n)
    given = (jnp.broadcast_to(v, (1, n, 3)) for v in (mean, variance))
    drawn = np.asarray(sample_normal(keys, *given, jnp.arange(3, dtype=jnp.uint32)))[0]
    for values, m, v in zip(drawn.T, mean, variance, strict=True):
        assert stats.kstest((values - m) / np.sqrt(v), "norm").pvalue > 1e-3


@pytest.mark.parametrize("expected", [True, False])
def test_chunks_change_no_number(trained, expected, monkeypatch):
    groups = [(), ("A",), ("B", "D"), ("A", "C"), ("D",)]
    draw = Draw(n_particles=5, library_size=300.0, expected=expected)
    whole = cells(trained, groups, draw)
    monkeypatch.setattr(sampling, "_CPU_ROWS", 10)
    in_two = cells(trained, groups, draw)
    one_by_one = cells(trained, groups, draw._replace(memory_gib=1e-9))
    conditions = conditions_of(groups, NAMES)
    assert sampling.chunk_sizes(conditions, 1e-9, spec=trained.spec) == (1, 1)
    for other in (in_two, one_by_one):
        np.testing.assert_allclose(other, whole, rtol=1e-5 if expected else 0)


def test_other_conditions_change_nothing(trained):
    draw = Draw(n_particles=6)
    alone = cells(trained, [("B", "A")], draw)
    among = cells(trained, [("D",), (), ("A", "B"), ("C",)], draw)
    np.testing.assert_array_equal(alone[:, 0], among[:, 2])
    fewer = cells(trained, [("B", "A")], draw._replace(n_particles=3))
    np.testing.assert_array_equal(fewer, alone[:3])
    other = cells(trained, [("B", "A")], draw._replace(seed=1))
    assert (other != alone).any()


def test_expected_counts_are_the_decoded_latents(trained):
    """Conditions of a particle share its latents: M, E, qcE from q, z from the prior."""
    sizes = dataclasses.replace(builders.SIZES, n_perturbed=4)  # D is drawn as well
    spec, particles = dataclasses.replace(trained.spec, sizes=sizes), jnp.arange(3)
    draw = Draw(n_particles=3, library_size=500.0, expected=True)
    dosage = jnp.asarray([[0.0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1]])

    @jax.jit
    def decoded(failed):
        model = bind(trained.params, spec)
        shared_key, basal_key, _ = jax.random.split(jax.random.key(0), 3)
        shared = model.guide.sample_shared(sample_shared_noise(shared_key, spec, particles))
        basal = sample_basal_noise(basal_key, spec, particles, jnp.arange(1))
        bad = shared.quality * failed
        parts = (
            jnp.repeat(basal, 3, 1),
            dosage @ (shared.embedding * shared.mask),
            jnp.repeat(bad, 3, 1),
        )
        blocks = trained.params["decoder"]["mlp"]["first"]
        names = ("basal", "effect", "quality")
        first = sum(
            part @ blocks[f"kernel_{name}"] for part, name in zip(parts, names, strict=True)
        )
        return model.decoder.distribution(model.decoder.mlp(first), jnp.full(3, 500.0)).mean

    for failed in (False, True):
        found = cells(trained, [(), ("B",), ("A", "D")], draw._replace(failed=failed))
        np.testing.assert_allclose(found, decoded(float(failed)), rtol=2e-4)


def test_library_size_of_each_cell(trained):
    sizes = np.array([[100.0, 1000.0], [500.0, 50.0]], np.float32)
    draw = Draw(n_particles=2, library_size=sizes, expected=True)
    found = cells(trained, [(), ("A",)], draw).sum(-1)
    np.testing.assert_allclose(found, sizes, rtol=1e-3)


def test_values_can_be_drawn_too():
    drawn = cells(builders.make_model(likelihood_key="normal"), [(), ("A",)], Draw(n_particles=2))
    assert np.isfinite(drawn).all()


def test_unknown_treatment_is_named():
    with pytest.raises(DataError, match=r"'E' is no treatment of this model"):
        conditions_of([("A",), ("E",)], NAMES)
