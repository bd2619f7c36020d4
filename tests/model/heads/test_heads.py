"""The contract that every likelihood head keeps, and what happens where one does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model import bind, init_params
from gpo_vae_jax.model.decoder import in_gene_order
from gpo_vae_jax.model.heads import HEADS, Head, head_of
from gpo_vae_jax.spec import Spec
from tests.builders import SIZES, configure, make_case, make_model, param_shapes
from tests.forks.scaled_poisson import ScaledPoisson

P, B, H, G = 2, 3, 5, SIZES.n_genes
ALL = (*HEADS, "scaled_poisson")


@pytest.fixture(params=ALL)
def name(request, monkeypatch):
    """Return the name of a head; the last is no part of the package."""
    monkeypatch.setitem(HEADS, "scaled_poisson", ScaledPoisson())
    return request.param


def distribution_of(model, size=50.0):
    hidden = jnp.asarray(np.random.default_rng(0).normal(size=(P, B, H)), jnp.float32)
    return bind(model.params, model.spec).decoder.distribution(hidden, jnp.full(B, size))


def test_the_decoder_holds_exactly_the_declared_parameters(name):
    head, shapes = head_of(name), jax.tree.map(jnp.shape, make_model(likelihood_key=name).params)
    declared = {layer: {"kernel": (H, G), "bias": (G,)} for layer in head.linear}
    declared |= dict.fromkeys(head.per_gene, (G,)) | dict(head.shared)
    assert {k: v for k, v in shapes["decoder"].items() if k != "mlp"} == declared


def test_distribution_probability_and_draws_have_a_value_for_every_gene(name):
    model = make_model(likelihood_key=name)
    given, decoder = distribution_of(model), bind(model.params, model.spec).decoder
    assert given.mean.shape == given.variance.shape == (P, B, G)
    log_prob = decoder.log_prob(jnp.ones((B, G), jnp.int32), given)
    keys = jax.random.split(jax.random.key(0), (P, B))
    drawn = decoder.sample(keys, given, jnp.arange(G, dtype=jnp.uint32))
    assert log_prob.shape == drawn.shape == (P, B, G)
    assert np.isfinite(log_prob).all() and np.isfinite(drawn).all()
    assert drawn.dtype == jnp.float32
    if head_of(name).draws_counts:
        assert (drawn == jnp.rint(drawn)).all() and (drawn >= 0).all()


def test_likelihoods_are_sums_of_the_log_probability(name):
    case = make_case(configure({"likelihood_key": name}))
    decoder = bind(case.params, case.spec).decoder
    hidden = jnp.asarray(np.random.default_rng(1).normal(size=(P, 6, H)), jnp.float32)
    weight = jnp.linspace(0.2, 1.0, 6)
    given = decoder.distribution(hidden, case.batch.library_size)
    expected = decoder.log_prob(case.batch.counts, given).sum(-1)
    ours = decoder.log_likelihood(hidden, case.batch)
    np.testing.assert_allclose(ours, expected, rtol=1e-4)
    weighted = decoder.weighted_log_likelihood(hidden, case.batch, weight)
    np.testing.assert_allclose(weighted, (weight[None] * expected).sum(), rtol=1e-4)


def test_reordered_genes_are_the_same_genes_elsewhere(name):
    model = make_model(likelihood_key=name)
    order = np.random.default_rng(2).permutation(G).astype(np.uint32)
    moved = model._replace(params=in_gene_order(model.params, order, spec=model.spec))
    given, of_moved = distribution_of(model), distribution_of(moved)
    np.testing.assert_allclose(of_moved.mean, given.mean[..., order], rtol=1e-5)
    np.testing.assert_allclose(of_moved.variance, given.variance[..., order], rtol=1e-5)
    keys, decoder = jax.random.split(jax.random.key(0), (P, B)), bind(*model).decoder
    drawn = decoder.sample(keys, given, jnp.arange(G, dtype=jnp.uint32))
    again = bind(*moved).decoder.sample(keys, of_moved, jnp.asarray(order))
    np.testing.assert_allclose(again, drawn[..., order], rtol=1e-5)


def test_an_unknown_head_is_refused_with_those_there_are():
    spec = Spec(SIZES, configure({"likelihood_key": "nb"}).model)
    with pytest.raises(
        ConfigError, match=r"likelihood_key='nb'.*there are: library_nb, poisson, normal, "
    ):
        init_params(jax.random.key(0), spec)
    with pytest.raises(ConfigError, match=r"did you mean 'library_nb'\?"):
        head_of("library_bn")


@pytest.mark.parametrize("missing", ["distribution", "log_prob", "sample"])
def test_a_head_with_a_missing_function_cannot_be_made(missing):
    functions = {
        name: getattr(ScaledPoisson, name)
        for name in ("distribution", "log_prob", "sample")
        if name != missing
    }
    incomplete = type("Incomplete", (Head,), functions)
    with pytest.raises(TypeError, match=missing):
        incomplete()


def test_an_undeclared_parameter_does_not_exist(monkeypatch):
    """A head that forgets to declare a parameter fails at once."""

    class Forgetful(ScaledPoisson):
        per_gene = ()

    monkeypatch.setitem(HEADS, "forgetful", Forgetful())
    with pytest.raises(KeyError, match="log_efficiency"):
        param_shapes(Spec(SIZES, configure({"likelihood_key": "forgetful"}).model))
