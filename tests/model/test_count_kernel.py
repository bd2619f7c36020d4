"""Counts drawn in one kernel: those of a CPU, and the mixture of the long searches.

Without a GPU the kernel is interpreted.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gpo_vae_jax.model import count_kernel
from gpo_vae_jax.model.count_sampling import sample_counts

KINDS = ("library_nb", "poisson")
# (mean, concentration) whose search is too long, or with the Poisson head only the last four.
LONG = np.array(
    [
        [10, 0.01],
        [30, 0.05],
        [200, 0.3],
        [1000, 1],
        [3500, 400],
        [9000, 0.9],
        [2e4, 1e5],
        [1e6, 50],
    ],
    np.float32,
)


@pytest.fixture
def on_gpu(monkeypatch):
    """Take the form of a GPU."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    if not count_kernel.kernel_is_there():
        pytest.skip("this jax has no kernels")


def given(shape, seed=0, largest=60.0):
    """Return keys, means [1, N, G] sorted by gene, concentrations and numbers of genes.

    Up to the largest mean of 60 no search is too long; some counts are sums of several.
    """
    rng = np.random.default_rng(seed)
    mean = np.sort(np.exp(rng.uniform(-5, np.log(largest), shape[1])))
    mean = mean * rng.uniform(0.5, 2, shape)
    keys = jax.random.split(jax.random.key(seed), shape[0])[None]
    theta = rng.gamma(2, 1, shape[1]) + 0.5
    theta[::3] *= 50
    theta = jnp.asarray(theta, jnp.float32)
    return keys, jnp.asarray(mean, jnp.float32)[None], theta, jnp.arange(shape[1], dtype=jnp.uint32)


def drawn(keys, mean, concentration, genes):
    """Draw counts in a program of its own, traced for the backend of this moment."""
    return np.asarray(
        jax.jit(lambda *given: sample_counts(*given))(keys, mean, concentration, genes)
    )


def chi_square(values, law):
    """Return the p-value of Pearson's test in about thirty classes of equal probability."""
    edges = np.unique(law.ppf(np.linspace(0, 1, 31)[1:-1]))
    share = np.diff([0, *law.cdf(edges), 1]) * len(values)
    found = np.diff([0, *np.searchsorted(np.sort(values), edges, side="right"), len(values)])
    return stats.chi2.sf(((found - share) ** 2 / share).sum(), len(share) - 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (21, 75)])
def test_counts_are_those_of_a_cpu(kind, shape, monkeypatch, request):
    keys, mean, theta, genes = given(shape)
    theta = theta if kind == "library_nb" else None
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    expected = drawn(keys, mean, theta, genes)
    request.getfixturevalue("on_gpu")
    counts = drawn(keys, mean, theta, genes)
    assert np.mean(counts != expected) <= 2e-3  # a number within rounding of two counts
    assert np.abs(counts - expected).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_long_searches_are_mixtures(kind, on_gpu):
    n, cases = 4_000, LONG if kind == "library_nb" else LONG[-4:]
    mean, theta = cases.T
    keys = jax.random.split(jax.random.key(1), n)[None]
    counts = drawn(
        keys, jnp.broadcast_to(mean, (1, n, len(mean))),
        jnp.asarray(theta) if kind == "library_nb" else None,
        jnp.arange(len(mean), dtype=jnp.uint32),
    )[0]  # fmt: skip
    assert (counts == np.rint(counts)).all() and counts.min() >= 0
    for values, mu, t in zip(counts.T, mean.astype(float), theta.astype(float), strict=True):
        law = stats.poisson(mu) if kind == "poisson" else stats.nbinom(t, t / (t + mu))
        assert chi_square(values, law) > 1e-3, (mu, t)
    between = np.corrcoef(counts.T)[np.triu_indices(len(mean), 1)] * np.sqrt(n)
    assert np.abs(between).max() < 5


def test_rates_of_every_size_are_drawn_by_rejection():
    """Poisson counts from the least rate up to a million, Gamma numbers from below 1 up."""
    n, rates = 20_000, np.array([30, 45, 300, 2e4, 1e6], np.float32)
    shapes = np.array([0.3, 0.9, 1, 30, 1e5], np.float32)
    words = jax.random.key_data(jax.random.split(jax.random.key(3), n))

    @jax.jit
    def draw(words):
        def uniform_of(number):
            columns = jnp.arange(len(rates), dtype=jnp.uint32)
            return count_kernel.uniform_of_words(words[:, :1], words[:, 1:], columns, number)

        wanted = jnp.ones((n, len(rates)), bool)
        poisson = count_kernel._poisson(uniform_of, jnp.broadcast_to(rates, wanted.shape), wanted)
        return poisson, count_kernel._gamma(uniform_of, jnp.asarray(shapes)[None], wanted)

    counts, gammas = map(np.asarray, draw(words))
    for values, rate in zip(counts.T, rates.astype(float), strict=True):
        law = stats.poisson(rate)
        assert abs(values.mean() - rate) < 4 * law.std() / np.sqrt(n)
        assert chi_square(values, law) > 1e-3, rate
    for values, shape in zip(gammas.T.astype(float), shapes.astype(float), strict=True):
        assert stats.kstest(values, stats.gamma(shape).cdf).pvalue > 1e-3, shape


def test_a_count_depends_on_its_gene_and_row_alone(on_gpu):
    keys, mean, theta, genes = given((11, 40), largest=1e4)  # some are mixtures
    whole = drawn(keys, mean, theta, genes)
    rng = np.random.default_rng(0)
    rows, some = rng.permutation(11)[:6], rng.permutation(40)[:17]
    part = drawn(keys[:, rows], mean[:, rows][:, :, some], theta[some], genes[some])
    np.testing.assert_array_equal(part, whole[:, rows][:, :, some])


def test_lanes_of_a_vmap_are_draws_of_their_own(on_gpu):
    keys, mean, theta, genes = given((9, 33))
    several = jax.random.split(jax.random.key(4), 27).reshape(3, 1, 9)
    lanes = jax.jit(jax.vmap(sample_counts, in_axes=(0, None, None, None)))
    found = np.asarray(lanes(several, mean, theta, genes))
    for lane, keys in zip(found, several, strict=True):
        np.testing.assert_array_equal(lane, drawn(keys, mean, theta, genes))


def test_a_mean_that_is_no_number_ends_and_leaves_its_neighbours_alone(on_gpu):
    keys, mean, theta, genes = given((2, 12))
    whole = drawn(keys, mean, theta, genes)
    broken = drawn(keys, mean.at[0, 0, :2].set(jnp.array([jnp.nan, jnp.inf])), theta, genes)
    np.testing.assert_array_equal(broken[0, 0, 2:], whole[0, 0, 2:])
    np.testing.assert_array_equal(broken[0, 1], whole[0, 1])


def test_the_program_for_nvidia_is_one_kernel(on_gpu):
    shapes = jax.eval_shape(lambda: given((9, 33)))
    lowered = jax.jit(sample_counts).trace(*shapes).lower(lowering_platforms=("cuda",))
    text = lowered.as_text()
    assert sum("triton" in line for line in text.splitlines()) == 1
    assert "stablehlo.while" not in text


@pytest.mark.parametrize(
    ("capability", "there"), [("7.5", False), ("8.0", True), ("12.0", True), ("gfx942", True)]
)
def test_old_devices_have_no_kernel(capability, there, on_gpu, monkeypatch):
    class Device:
        compute_capability = capability

    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    assert count_kernel.kernel_is_there() is there


@pytest.mark.parametrize(("backend", "version"), [("cpu", (0, 10, 0)), ("gpu", (0, 4, 25))])
def test_a_cpu_and_an_old_jax_have_no_kernel(backend, version, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "__version_info__", version)
    assert not count_kernel.kernel_is_there()
