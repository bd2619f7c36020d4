"""The contract that every likelihood head keeps, and what happens where one does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model import bind, init_params
from gpo_vae_jax.model.heads import HEADS, Head, head_of
from gpo_vae_jax.spec import Spec
from tests.builders import SIZES, configure, make_case, param_shapes
from tests.forks.scaled_poisson import ScaledPoisson

P, B, H, G = 2, 6, 5, SIZES.n_genes
GENES = jnp.arange(G, dtype=jnp.uint32)
ORDER = np.random.default_rng(2).permutation(G).astype(np.uint32)


@pytest.fixture(scope="module", autouse=True)
def another_head():
    """Add a head that is no part of the package."""
    HEADS["scaled_poisson"] = ScaledPoisson()
    yield
    del HEADS["scaled_poisson"]


@pytest.fixture(scope="module", params=[*HEADS, "scaled_poisson"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def found(name):
    """Return what the decoder with this head computes, with genes in order and reordered."""
    case = make_case(configure({"likelihood_key": name}))
    hidden = jnp.asarray(np.random.default_rng(1).normal(size=(P, B, H)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), (P, B))
    batch, weight = case.batch, jnp.linspace(0.2, 1.0, B)

    @jax.jit
    def computed():
        decoder = bind(case.params, case.spec).decoder
        given = decoder.distribution(hidden, batch.library_size)
        log_prob = decoder.log_prob(batch.counts, given)
        of_other = jax.tree.map(lambda of_genes: of_genes[..., ORDER], given)
        return {
            "given": given,
            "log_prob": log_prob,
            "drawn": decoder.sample(keys, given, GENES),
            "likelihood": decoder.log_likelihood(hidden, batch),
            "weighted": decoder.weighted_log_likelihood(hidden, batch, weight),
            "expected_weighted": (
                weight[None] * decoder.log_prob(batch.counts, given).sum(-1)
            ).sum(),
            "reordered": of_other,
            "drawn_reordered": decoder.sample(keys, of_other, jnp.asarray(ORDER)),
        }

    return case, computed()


def test_the_decoder_holds_exactly_the_declared_parameters(name, found):
    head, shapes = head_of(name), jax.tree.map(jnp.shape, found[0].params)
    declared = {layer: {"kernel": (H, G), "bias": (G,)} for layer in head.linear}
    declared |= dict.fromkeys(head.per_gene, (G,)) | dict(head.shared)
    assert {k: v for k, v in shapes["decoder"].items() if k != "mlp"} == declared


def test_distribution_probability_and_draws_have_a_value_for_every_gene(name, found):
    values = found[1]
    for one in (values["given"].mean, values["given"].variance):
        assert one.shape == (P, B, G)
    for one in (values["log_prob"], values["drawn"]):
        assert one.shape == (P, B, G) and np.isfinite(one).all()
    assert values["drawn"].dtype == jnp.float32
    if head_of(name).draws_counts:
        assert (values["drawn"] == jnp.rint(values["drawn"])).all()
        assert (values["drawn"] >= 0).all()


def test_likelihoods_are_sums_of_the_log_probability(found):
    values = found[1]
    np.testing.assert_allclose(values["likelihood"], values["log_prob"].sum(-1), rtol=1e-4)
    np.testing.assert_allclose(values["weighted"], values["expected_weighted"], rtol=1e-4)


def test_reordered_genes_are_the_same_genes_elsewhere(found):
    values = found[1]
    given, other = values["given"], values["reordered"]
    np.testing.assert_allclose(other.mean, given.mean[..., ORDER], rtol=1e-5)
    np.testing.assert_allclose(other.variance, given.variance[..., ORDER], rtol=1e-5)
    np.testing.assert_allclose(
        values["drawn_reordered"], values["drawn"][..., ORDER], rtol=1e-5, atol=1e-6
    )


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
