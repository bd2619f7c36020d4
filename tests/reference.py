"""The objective in plain NumPy, float64: docs/method.md 2 to 5 line by line, nothing saved.

It samples all T rows, multiplies by the dense dosage D, concatenates every input, and takes its
parameters under their PyTorch names, weights as (out, in).
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from gpo_vae_jax.original import state_dict
from tests.builders import Case

EPSILON = float(np.finfo(np.float32).eps)


def objective(case: Case, state: dict[str, np.ndarray] | None = None) -> dict[str, float]:
    """Return the loss and its parts under the names of `objective.loss`.

    With `state` the parameters are these, but masks are still drawn from the case's parameters:
    they move away from 0 and 1 as their relaxation does. Differences between two states thus
    show the straight-through gradient.
    """
    return _Reference(case, state).parts()


def dense_dosage(batch, n_treatments: int) -> np.ndarray:
    """Return D, [B, T]."""
    index, dosage = np.asarray(batch.perturbation), np.asarray(batch.dosage, np.float64)
    dense = np.zeros((index.shape[0], n_treatments))
    for cell in range(index.shape[0]):
        for k in range(index.shape[1]):
            dense[cell, index[cell, k]] += dosage[cell, k]
    return dense


def reach(values: np.ndarray, kind: str, hop: int) -> np.ndarray:
    """Return S of 5.5 by explicit matrix powers."""
    n = values.shape[0]
    power = np.linalg.matrix_power
    if kind == "logits":
        return sum(power(values, k + 1) / n**k for k in range(hop + 1))
    rows = np.stack([row / row.sum() if row.sum() > 0 else row for row in values])
    paths = sum(power(rows, k) for k in range(1, hop + 2))
    low, high = paths.min(0), paths.max(0)
    return (paths - low) / (high - low + 1e-8)


class _Reference:
    def __init__(self, case: Case, state: dict[str, np.ndarray] | None):
        self.m, self.o, self.s = case.spec.model, case.spec.objective, case.spec.sizes
        drawn_from = state_dict.to_torch(case.params, case.spec)
        drawn_from = {name: np.asarray(value, np.float64) for name, value in drawn_from.items()}
        self.state = drawn_from if state is None else state
        self.batch, self.noise, self.context = case.batch, case.noise, case.context
        self.x = np.asarray(case.batch.counts, np.float64)
        self.qc = np.asarray(case.batch.qc_fail, np.float64)
        self.d = dense_dosage(case.batch, self.s.n_treatments)
        self.weight = np.asarray(case.batch.weight, np.float64)
        _, self.drawn_logits, _ = self.network(drawn_from)
        self.mask, self.logits, self.probs = self.network(self.state)

    def network(self, state) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the mask's parameter as it is used, its logits and its probabilities."""
        mask = state[f"guide.param_dict.q_mask_{self.m.logits_or_probs}"]
        mask = np.where(np.isfinite(mask), mask, 0)
        if self.m.logits_or_probs == "logits":
            return mask, mask, _sigmoid(mask)
        probs = np.clip(mask, 0, 1)
        return probs, _logit(probs), probs

    def parts(self) -> dict[str, float]:
        o, names = self.o, ("mask", "embedding", "quality", "basal")
        first = [self.sample(self.noise.shared, p) for p in range(self.noise.basal.shape[0])]
        reconstruction, gaps, flipped = [], {name: [] for name in names}, []
        for p, shared in enumerate(first):
            mean, variance = self.q_basal(self.x, shared, self.qc)
            basal = mean + np.sqrt(variance) * np.asarray(self.noise.basal[p], np.float64)
            reconstruction.append(self.reconstruction(shared, basal))
            for name, gap in self.gaps(shared, basal, mean, variance).items():
                gaps[name].append(gap)
            flipped.append(self.q_basal(self.x, shared, 1 - self.qc))
        terms = {"reconstruction": np.stack(reconstruction)}
        terms |= {name: np.stack(gap) for name, gap in gaps.items()}
        total = sum(terms.values())  # [P, B]
        if o.objective == "iwelbo":
            top = total.max(0, keepdims=True)
            total = np.log(np.mean(np.exp(total - top), 0, keepdims=True)) + top
        parts = {
            "counterfactual_kl": o.beta * self.counterfactual_kl(flipped),
            "grn": o.gloss_coeff * self.grn(),
            "penalty": o.penalty_coeff * self.probs.sum() / self.s.n_treatments**2,
        }
        parts["loss"] = -self.mean(total) + sum(parts.values())
        return {**{name: -self.mean(term) for name, term in terms.items()}, **parts}

    def mean(self, values: np.ndarray) -> float:
        return (values.mean(0) * self.weight).sum() / self.weight.sum()

    def sample(self, noise, p: int) -> dict[str, np.ndarray]:
        """Sample all T rows of M and E; the rows beyond R, which nobody meets, arbitrarily."""
        t = self.s.n_treatments
        extra = np.random.default_rng(p).normal(size=(2, t - self.s.n_perturbed, t))
        logistic = np.concatenate([np.asarray(noise.mask[p], np.float64), extra[0]])
        eps = np.concatenate([np.asarray(noise.embedding[p], np.float64), extra[1]])
        soft = _sigmoid((self.logits + logistic) / self.m.temperature)
        drawn = _sigmoid((self.drawn_logits + logistic) / self.m.temperature)
        mask = (drawn > 0.5) + soft - drawn
        mean, variance = self.head("embedding_encoder", np.concatenate([mask, np.eye(t)], 1))
        ones = np.ones((self.s.n_quality, self.m.n_latent))
        q_mean, q_variance = self.head("qc_encoder", ones)
        return {
            "mask": mask,
            "embedding": mean + np.sqrt(variance) * eps,
            "quality": q_mean + np.sqrt(q_variance) * np.asarray(noise.quality[p], np.float64),
            "q_embedding": (mean, variance),
            "q_quality": (q_mean, q_variance),
        }

    def q_basal(self, x, shared, qc) -> tuple[np.ndarray, np.ndarray]:
        stats = [np.asarray(value, np.float64) for value in self.context.statistics]
        kind = self.m.input_normalization
        if kind == "log_standardize":
            x = (np.log(x + 1) - stats[2]) / stats[3]
        elif kind == "standardize":
            x = (x - stats[0]) / stats[1]
        if not self.m.mean_field_encoder:
            effect = self.d @ (shared["embedding"] * shared["mask"])
            x = np.concatenate([x, effect, qc @ shared["quality"]], 1)
        return self.head("z_basal_encoder", x)

    def reconstruction(self, shared, basal) -> np.ndarray:
        own = self.qc.max(1)
        offset = self.d @ (shared["embedding"] * shared["mask"])
        quality = own[:, None] * shared["quality"].sum(0)[None]
        if self.m.sum_mode:
            z = basal + offset + quality
        else:
            z = np.concatenate([basal, offset, quality], 1)
        alpha = self.o.alpha
        if alpha is None:
            alpha = (own * self.weight).sum() / self.weight.sum()
        return np.where(own == 1, 1 - alpha, alpha) * self.log_likelihood(z).sum(1)

    def log_likelihood(self, z) -> np.ndarray:
        at, x, kind = "model.decoder", self.x, self.m.likelihood_key
        h = self.mlp(f"{at}.mlp", z)
        if kind == "library_nb":
            scores = self.linear(f"{at}.normalized_mean_decoder.0", h)
            share = np.exp(scores - scores.max(1, keepdims=True))
            share /= share.sum(1, keepdims=True)
            mu = np.asarray(self.batch.library_size, np.float64)[:, None] * share
            theta = np.exp(self.state[f"{at}.log_concentration"])
            rate = np.maximum(theta / (mu + 1e-4), 1e-6)
            constant = gammaln(x + theta) - gammaln(theta) - gammaln(x + 1)
            return constant + theta * np.log(rate) - (x + theta) * np.log(1 + rate)
        if kind == "poisson":
            rate = np.maximum(np.logaddexp(0, self.linear(f"{at}.rate_decoder.0", h)), 1e-6)
            return x * np.log(rate) - rate - gammaln(x + 1)
        mean = self.linear(f"{at}.mean_encoder", h)
        if kind == "normal":
            return _normal(x, mean, np.exp(self.linear(f"{at}.log_var_encoder", h)) + 1e-4)
        return _normal(x, mean, np.exp(self.state[f"{at}.log_var_encoder.log_var"]) + 1e-4)

    def gaps(self, shared, basal, mean, variance) -> dict[str, np.ndarray]:
        prior_logits = _logit(np.float64(self.m.mask_prior))
        spread = self.m.embedding_prior_scale**2
        log_p = {
            "mask": _bernoulli(shared["mask"], prior_logits).sum(1),
            "embedding": _normal(shared["embedding"], 0, spread).sum(1),
            "quality": _normal(shared["quality"], 0, spread).sum(1),
            "basal": _normal(basal, 0, 1).sum(1),
        }
        log_q = {
            "mask": _bernoulli(shared["mask"], self.logits).sum(1),
            "embedding": _normal(shared["embedding"], *shared["q_embedding"]).sum(1),
            "quality": _normal(shared["quality"], *shared["q_quality"]).sum(1),
            "basal": _normal(basal, mean, variance).sum(1),
        }
        reweighted = self.o.objective == "reweighted_elbo"
        w = self.o.reweight if reweighted else type(self.o.reweight)()
        result = {}
        for i, name in enumerate(log_p):
            gap = w.term[i] * (w.prior[i] * log_p[name] - log_q[name])
            result[name] = gap * w.observation[i] if i < 3 else gap
        cells, failed = self.context.treatment_cells, self.context.quality_cells
        result["mask"] = _shares(result["mask"], self.d, cells)
        result["embedding"] = _shares(result["embedding"], self.d, cells)
        result["quality"] = _shares(result["quality"], self.qc, failed)
        return result

    def counterfactual_kl(self, flipped) -> float:
        cf, total = np.asarray(self.batch.counterfactual, np.float64), 0.0
        for p, (mc, vc) in enumerate(flipped):
            shared = self.sample(self.noise.counterfactual, p)
            m2, v2 = self.q_basal(cf, shared, 1 - self.qc)
            distance = (m2 - mc) ** 2
            if self.o.counterfactual_kl == "exact":
                distance = distance / vc
            k = 0.5 * (np.log(vc) - np.log(v2) + v2 / vc + distance - 1)
            for cell in range(len(cf)):
                if cf[cell].any():
                    total += self.weight[cell] * k[cell].sum()
        return total / len(flipped)

    def grn(self) -> float:
        change = np.asarray(self.batch.delta, np.float64) - self.o.fc_criteria
        target = change if self.m.logits_or_probs == "logits" else _sigmoid(change)
        gap = np.abs(self.d @ reach(self.mask, self.m.logits_or_probs, self.o.hop) - target)
        measured = np.asarray(self.context.measured) != 0
        return self.mean(gap[:, measured].mean(1)[None])

    def head(self, name: str, x) -> tuple[np.ndarray, np.ndarray]:
        at = f"guide.{name}"
        h = self.mlp(f"{at}.mlp", x)
        variance = np.exp(self.linear(f"{at}.log_var_encoder", h)) + 1e-4
        return self.linear(f"{at}.mean_encoder", h), variance

    def mlp(self, at: str, x) -> np.ndarray:
        h, i = _leaky(self.linear(f"{at}.layers.0.0", x)), 1
        while f"{at}.layers.{i}.0.weight" in self.state:
            h = _leaky(self.linear(f"{at}.layers.{i}.0", h)) + h
            i += 1
        return h

    def linear(self, at: str, x) -> np.ndarray:
        return x @ self.state[f"{at}.weight"].T + self.state[f"{at}.bias"]


def _shares(rows, present, n_cells) -> np.ndarray:
    """Return each cell the sum over the columns present in it of row / number of cells."""
    result = np.zeros(len(present))
    for cell, column in np.argwhere(present != 0):
        n = float(n_cells[column])
        result[cell] += rows[column] / n if n > 0 else 0
    return result


def _leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _logit(probs):
    probs = np.clip(probs, EPSILON, 1 - EPSILON)
    return np.log(probs / (1 - probs))


def _bernoulli(x, logits):
    return x * np.log(_sigmoid(logits)) + (1 - x) * np.log(_sigmoid(-logits))


def _normal(x, mean, variance):
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))
