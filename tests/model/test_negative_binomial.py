"""The negative binomial head: against its plain form, against autodiff in float64, in chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo_vae_jax.model import blocks, negative_binomial
from gpo_vae_jax.model.negative_binomial import log_likelihood, weighted_log_likelihood
from tests.float64 import run_in_float64


@pytest.fixture(autouse=True, params=["cpu", "gpu"])
def form(request, monkeypatch):
    """Run every test with the form for a CPU, in chunks, and with the one for a GPU, whole."""
    monkeypatch.setattr(jax, "default_backend", lambda: request.param)
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


def draw_head(seed=0, n_particles=3, n_cells=12, n_hidden=5, n_genes=17, spread=1.0):
    """Draw the head's inputs; concentrations span e^-6 to e^6, counts 0 to thousands."""
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(0.5, rng.uniform(1e-3, 0.5, n_genes), (n_cells, n_genes))
    return (
        jnp.asarray(rng.normal(size=(n_particles, n_cells, n_hidden))),
        jnp.asarray(rng.normal(0, spread, (n_hidden, n_genes))),
        jnp.asarray(rng.normal(size=n_genes)),
        jnp.asarray(rng.uniform(-6, 6, n_genes)),
        jnp.asarray(counts),
        jnp.asarray(counts.sum(1) + 1.0),
    )


def plain(hidden, kernel, bias, log_concentration, counts, library_size):
    """Write the equation of docs/method.md 2 down as it stands."""
    theta = jnp.exp(log_concentration)[None, None]
    mu = library_size[None, :, None] * jax.nn.softmax(hidden @ kernel + bias[None, None], -1)
    floor = jax.lax.stop_gradient(jnp.asarray(1e-6, mu.dtype))
    rate = theta / (mu + 1e-4)
    rate = jnp.where(rate >= floor, rate, floor)
    x = counts.astype(mu.dtype)[None]
    gammas = _gammaln(x + theta) - _gammaln(theta) - _gammaln(x + 1)
    return (gammas + theta * jnp.log(rate) - (x + theta) * jnp.log1p(rate)).sum(-1)


def _gammaln(x):
    return jax.scipy.special.gammaln(x)


def single(arrays):
    """Return the arrays in float32; counts as they come from a file."""
    *floats, counts, library = arrays
    return (*(jnp.float32(a) for a in floats), counts.astype(jnp.uint16), jnp.float32(library))


likelihood, of_equation = jax.jit(log_likelihood), jax.jit(plain)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1000), n_cells=st.sampled_from([1, 6]), spread=st.sampled_from([0.1, 1, 4])
)
def test_value_is_that_of_the_equation(seed, n_cells, spread):
    arrays = single(draw_head(seed, n_cells=n_cells, spread=spread))
    np.testing.assert_allclose(likelihood(*arrays), of_equation(*arrays), rtol=2e-5, atol=1e-3)


def test_gradients_equal_autodiff_of_the_equation_in_float64(form):
    program = (
        f"""
jax.default_backend = lambda: "{form}"
"""
        + """
from gpo_vae_jax.model import blocks, negative_binomial
from tests.model.test_negative_binomial import draw_head, plain
def functions():
    def total(head, floats, counts, library, weight):
        return (weight * head(*floats, counts, library)).sum()
    def known(floats, weight, counts, library):
        return 3 * negative_binomial.weighted_log_likelihood(*floats, counts, library, weight)
    def plainly(floats, weight, counts, library):
        return 3 * (weight[None] * plain(*floats, counts, library)).sum()
    def of(head):
        return jax.jit(jax.value_and_grad(lambda *a: total(head, *a)))
    weighted = tuple(jax.jit(jax.value_and_grad(f, (0, 1))) for f in (known, plainly))
    return (of(negative_binomial.log_likelihood), of(plain)), weighted
for chunk_bytes in (1 << 30, 2000):
    blocks.CHUNK_BYTES = chunk_bytes
    each, weighted = functions()
    for seed in range(6):
        *floats, counts, library = draw_head(seed, spread=(0.1, 1, 8)[seed % 3])
        library = library * (1e8 if seed == 5 else 1)  # rates reach their floor
        floats[3] = floats[3] - (4 if seed == 5 else 0)
        weight = jnp.asarray(np.random.default_rng(seed).normal(size=(3, 12)))
        for (ours, expected), arguments in (
            (each, (floats, counts, library, weight)),
            (weighted, (floats, weight[0], counts, library)),
        ):
            found = (jax.tree.leaves(f(*arguments)) for f in (ours, expected))
            for a, b in zip(*found, strict=True):
                assert a.dtype == jnp.float64
                np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8 * float(jnp.abs(b).max()))
"""
    )
    run_in_float64(program)


def known_and_after(*arrays_and_weight):
    """Return value and gradients of the weighted sum, weighted beforehand and afterwards."""
    *arrays, weight = arrays_and_weight
    numbers = (0, 1, 2, 3)
    known = jax.value_and_grad(lambda *a: weighted_log_likelihood(*a, weight), numbers)
    after = jax.value_and_grad(lambda *a: (weight[None] * log_likelihood(*a)).sum(), numbers)
    return known(*arrays), after(*arrays), weighted_log_likelihood(*arrays, weight)


both_ways = jax.jit(known_and_after)


@pytest.mark.parametrize("n_particles", [1, 5, 6, 7])
def test_weights_known_beforehand_give_what_weighting_afterwards_gives(n_particles):
    """Whatever the number of particles: they share logarithms in groups of at most five."""
    for seed in range(3):
        arrays = single(draw_head(seed, n_particles=n_particles, n_cells=6))
        weight = jnp.float32(np.random.default_rng(seed).uniform(0, 1, 6))
        (value, gradients), (expected_value, expected), alone = both_ways(*arrays, weight)
        np.testing.assert_allclose(value, alone, rtol=1e-6)
        np.testing.assert_allclose(value, expected_value, rtol=1e-5)
        for a, b in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("n_samples", [1, 6])
def test_a_change_of_the_logits_is_a_longer_hidden_layer(n_samples):
    """Values and gradients are those of logits whose last hidden units are the change."""
    *arrays, counts, library = single(draw_head(n_particles=6, n_cells=4))
    hidden, kernel, *rest = arrays
    rng = np.random.default_rng(1)
    weight, change = rng.uniform(0, 1, 4), rng.normal(size=(4, n_samples, 17))

    def added(hidden, kernel, change):
        return weighted_log_likelihood(
            hidden, kernel, *rest, counts, library, jnp.float32(weight), change
        )

    def appended(hidden, kernel, change):
        every = jnp.broadcast_to(jnp.swapaxes(change, 0, 1), (6, 4, 17))
        longer = jnp.concatenate([hidden, every], axis=-1)
        below = jnp.concatenate([kernel, jnp.eye(17)])
        return weighted_log_likelihood(longer, below, *rest, counts, library, jnp.float32(weight))

    def afterwards(hidden, kernel, change):
        each = log_likelihood(hidden, kernel, *rest, counts, library, change)
        return (jnp.float32(weight)[None] * each).sum()

    expected = jax.value_and_grad(appended, (0, 1, 2))(hidden, kernel, jnp.float32(change))
    for function in (added, afterwards):
        found = jax.value_and_grad(function, (0, 1, 2))(hidden, kernel, jnp.float32(change))
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * float(jnp.abs(b).max()))


def test_groups_hold_five_particles_at_most():
    for n_particles, n_groups in ((1, 1), (5, 1), (6, 2), (7, 7), (10, 2), (12, 3), (100, 20)):
        of_groups = negative_binomial._of_groups(jnp.zeros((n_particles, 2, 3)), jnp.ones(2))
        assert of_groups.shape == (n_groups, 2)


@pytest.mark.parametrize("n_cells", [12, 13])
def test_chunks_change_nothing(n_cells, form, monkeypatch):
    arrays = single(draw_head(n_cells=n_cells))
    weight = jnp.linspace(0.5, 2, n_cells)

    def computed():
        def weighted(*a):
            return weighted_log_likelihood(*a, weight)

        def all_of_it(*a):
            return jax.value_and_grad(weighted, (0, 1, 2, 3))(*a), log_likelihood(*a)

        return jax.jit(all_of_it)(*arrays)

    (value, gradients), each = computed()
    monkeypatch.setattr(blocks, "CHUNK_BYTES", 3 * 17 * 4 * 3)  # three cells
    n_chunks = blocks.n_chunks(n_cells, 3 * 17 * 4 * n_cells)
    assert n_chunks == {12: 4, 13: 13}[n_cells] if form == "cpu" else n_chunks == 1
    (in_chunks, gradients_in_chunks), each_in_chunks = computed()
    np.testing.assert_allclose(value, in_chunks, rtol=1e-6)
    np.testing.assert_allclose(each_in_chunks, each, rtol=2e-5)
    for a, b in zip(gradients, gradients_in_chunks, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(jnp.abs(a).max()))


def test_a_prime_number_of_cells_is_not_taken_one_by_one(form):
    if form == "gpu":
        assert blocks.n_chunks(101, 5 * blocks.CHUNK_BYTES) == 1
        return
    assert blocks.n_chunks(101, 5 * blocks.CHUNK_BYTES) == 1
    assert blocks.n_chunks(512, 8 * blocks.CHUNK_BYTES - 1) == 8


def test_cells_without_counts_and_extreme_concentrations_stay_finite():
    hidden, kernel, bias, _, counts, library = single(draw_head(n_particles=5))
    counts, library = counts.at[3].set(0), library.at[3].set(0)
    library = library.at[4].set(1e6)
    extremes = jnp.linspace(-40, 40, bias.size)
    arrays = (hidden, kernel, bias, extremes, counts, library)
    ones = jnp.ones(len(library))
    for head in (
        lambda *a: log_likelihood(*a).sum(),
        lambda *a: weighted_log_likelihood(*a, ones),
    ):
        value, gradients = jax.jit(jax.value_and_grad(head, (0, 1, 2, 3)))(*arrays)
        np.testing.assert_allclose(value, likelihood(*arrays).sum(), rtol=1e-5)
        assert np.isfinite(value)
        for gradient in gradients:
            assert np.isfinite(gradient).all()


def test_vmap_over_parameters_is_a_loop():
    hidden, *rest = single(draw_head())
    stacked = jnp.stack([hidden, 0.5 * hidden])
    gradient = jax.jit(jax.grad(lambda h: log_likelihood(h, *rest).sum()))
    together = jax.jit(jax.vmap(gradient))(stacked)
    for i in range(2):
        np.testing.assert_allclose(together[i], gradient(stacked[i]), rtol=1e-5, atol=1e-4)
