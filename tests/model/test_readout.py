"""The readout: network genes change by their own entry, others by a sparse table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gpo_vae_jax.model import bind, sample_noise
from gpo_vae_jax.model.readout import n_others
from gpo_vae_jax.model.tables import gaussian_kl, mask_kl
from gpo_vae_jax.types import Posterior
from tests.builders import NETWORK_SIZES, PROPAGATED, PROPAGATED_OBJECTIVE, configure, make_case

OTHERS = [1, 3, 4, 6]  # genes that are not in the network


@pytest.fixture(scope="module")
def case():
    return make_case(configure(PROPAGATED, PROPAGATED_OBJECTIVE), NETWORK_SIZES)


@pytest.fixture(scope="module")
def readout(case):
    return bind(case.params, case.spec).decoder.readout


def test_each_measured_network_gene_reads_its_own_entry(case, readout):
    assert n_others(case.spec) == len(OTHERS)
    for kernel in (readout.kernel(), readout.kernel(case.noise.readout)):
        assert kernel.shape == (4, 7)
        for treatment, gene in enumerate(NETWORK_SIZES.network_genes):
            if gene >= 0:
                np.testing.assert_array_equal(kernel[:, gene], np.eye(4)[treatment])


def test_others_read_the_table(case, readout):
    table, noise = case.params["decoder"]["readout"], case.noise.readout
    mean = jax.nn.sigmoid(table["mask_logits"]) * table["mean"]
    np.testing.assert_allclose(readout.kernel()[:, OTHERS], mean, rtol=1e-6)
    present = np.asarray(table["mask_logits"] + noise.mask > 0)
    drawn = present * (table["mean"] + jnp.exp(table["log_variance"] / 2) * noise.weight)
    np.testing.assert_allclose(readout.kernel(noise)[:, OTHERS], drawn, rtol=1e-5)
    assert 0 < present.mean() < 1


def test_the_mean_of_drawn_readouts_is_the_mean_readout(case, readout):
    draws = 4000

    def kernel(key):
        noise = sample_noise(key, case.spec, n_particles=1, n_cells=1).readout
        return readout.kernel(noise)

    drawn = jax.jit(jax.vmap(kernel))(jax.random.split(jax.random.key(0), draws))
    error = np.asarray(drawn.std(0)) / np.sqrt(draws)
    assert (np.abs(drawn.mean(0) - readout.kernel()) <= 5 * error + 1e-6).all()


def test_its_divergence_by_summation(case, readout):
    """Enumerate whether an entry is present; where it is, its Gaussian in closed form."""
    table, total = case.params["decoder"]["readout"], 0.0
    c = case.spec.model
    for logit, mean, log_variance in zip(
        *(np.ravel(np.asarray(table[k], float)) for k in ("mask_logits", "mean", "log_variance")),
        strict=True,
    ):
        p = 1 / (1 + np.exp(-logit))
        total += stats.entropy([p, 1 - p], [c.readout_prior, 1 - c.readout_prior])
        variance, scale = np.exp(log_variance), c.readout_prior_scale
        of_weight = np.log(scale**2 / variance) + (variance + mean**2) / scale**2 - 1
        total += p * of_weight / 2
    np.testing.assert_allclose(readout.kl(), total, rtol=1e-5)


def test_divergences_vanish_only_at_the_prior():
    at = mask_kl(jnp.array([np.log(0.05 / 0.95), 1.0, -6.0]), 0.05)
    np.testing.assert_allclose(at[0], 0, atol=1e-6)
    assert (at[1:] > 1e-3).all()
    of = gaussian_kl(Posterior(jnp.array([0.0, 0.5]), jnp.array([4.0, 4.0])), 2.0)
    np.testing.assert_allclose(of, [0, 0.5 * 0.25 / 4], atol=1e-6)


def test_a_perturbation_changes_nothing_but_what_the_network_carries(case):
    """With all effects 0, every perturbation decodes like the control."""
    params = jax.tree.map(jnp.asarray, case.params)
    guide = {**params["guide"], "embedding_mean": jnp.zeros((4, 4))}
    guide["embedding_log_variance"] = jnp.full((4, 4), -200.0)
    model = bind({**params, "guide": guide}, case.spec)
    shared = model.guide.sample_shared(case.noise.shared)
    effects = model.guide.effects(shared, case.batch)
    basal = jnp.broadcast_to(case.noise.basal[:, :1], case.noise.basal.shape)
    hidden = model.decoder.hidden(basal, effects, shared.quality, jnp.zeros(6))
    mean = model.decoder.distribution(
        hidden, jnp.full(6, 100.0), model.decoder.change(effects)
    ).mean
    assert (np.asarray(case.batch.dosage) != 0).any()
    np.testing.assert_allclose(mean, jnp.broadcast_to(mean[:, :1], mean.shape), rtol=1e-5)
