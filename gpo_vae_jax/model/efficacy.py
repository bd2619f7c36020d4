"""Cells that escape their perturbation (docs/method.md 10): in each, it acts or it does not.

Perturbation t acts with probability pi_t, independently in every cell; where it does not, the cell
is like a control. A combination acts with the product of its probabilities, or not at all. The
indicator of a cell is summed out, never sampled. The pi of a screen vary around a mean that is
learned, too: a perturbation of weak effect, in which nothing tells, takes that mean.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.scipy.special import betaln

from gpo_vae_jax.model.cells import Perturbed, dosage_sum, picked
from gpo_vae_jax.model.distributions import logits_from_probs
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array

ALIKE = 100.0  # how many cells of a perturbation the other perturbations count as
OF_MEAN = 2.0  # how many perturbations the prior of the mean counts as
_LEAST = 1e-6  # probability that a cell escapes, so that its logarithm is finite


class Efficacy(nn.Module):
    """The share of cells in which each perturbation acts, pi."""

    spec: Spec

    def setup(self):
        """Declare the parameters: every share starts at its prior mean."""
        start = logits_from_probs(jnp.float32(1 - self.spec.model.escape_prior))
        init, sizes = nn.initializers.constant(start), self.spec.sizes
        self.mean_logit = self.param("mean_logit", init, ())
        self.perturbed_logits = self.param("logits", init, (sizes.n_perturbed,))

    def logits(self) -> Array:
        """Return the log-odds of pi, [T]; a treatment without cells has the mean."""
        n_unseen = self.spec.sizes.n_treatments - self.spec.sizes.n_perturbed
        return jnp.append(self.perturbed_logits, jnp.broadcast_to(self.mean_logit, (n_unseen,)))

    def shares(self) -> Array:
        """Return pi, [T]."""
        return jax.nn.sigmoid(self.logits())

    def log_shares(self, cells: Perturbed, rows: Array | None = None) -> Array:
        """Return log p(acts) and log p(escapes) of every cell, [B, 2].

        Nothing acts in a control cell, so that both hypotheses are the same there.

        Args:
          cells: the perturbations.
          rows: the treatments that they index; by default the first ones.
        """
        logits = self.logits()
        logits = logits if rows is None else picked(logits, rows)
        acts = dosage_sum(jax.nn.log_sigmoid(logits)[:, None], cells)[:, 0]
        return jnp.stack([acts, jnp.log(jnp.maximum(-jnp.expm1(acts), _LEAST))], axis=1)

    def log_prior(self) -> Array:
        """Return the log density of the shares of perturbed treatments and of their mean.

        Shares are Beta distributed around the mean, which is so around its prior; up to a constant.
        """
        logits, escape = self.perturbed_logits, self.spec.model.escape_prior
        mean = jax.nn.sigmoid(self.mean_logit)
        a, b = ALIKE * mean, ALIKE * (1 - mean)
        of_shares = a * jax.nn.log_sigmoid(logits) + b * jax.nn.log_sigmoid(-logits)
        of_mean = (1 - escape) * jax.nn.log_sigmoid(self.mean_logit)
        of_mean += escape * jax.nn.log_sigmoid(-self.mean_logit)
        return jnp.sum(of_shares - betaln(a + 1, b + 1)) + OF_MEAN * of_mean
