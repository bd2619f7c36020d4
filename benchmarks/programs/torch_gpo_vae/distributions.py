"""Distributions that torch.distributions lacks (docs/method.md 2, 3)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Gamma, Normal
from torch.distributions.utils import broadcast_all


class GammaPoisson(Distribution):
    """A Poisson whose rate is Gamma(concentration, rate): a negative binomial."""

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, concentration: Tensor, rate: Tensor):
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.rate.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Return theta / rate."""
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        """Return theta / rate (1 + 1 / rate)."""
        return self.mean * (1 + 1 / self.rate)

    @torch.no_grad()
    def sample(self, sample_shape=()) -> Tensor:
        """Draw rates, then counts."""
        gamma = Gamma(self.concentration, self.rate, validate_args=False)
        return torch.poisson(gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of each count."""
        total = value + self.concentration
        return (
            torch.lgamma(total)
            - torch.lgamma(self.concentration)
            - torch.lgamma(value + 1)
            + self.concentration * torch.log(self.rate)
            - total * torch.log1p(self.rate)
        )


def straight_through_bernoulli(logits: Tensor, logistic: Tensor, temperature: Tensor) -> Tensor:
    """Sample 0 or 1 with the relaxation's gradient; `logistic` is standard logistic noise."""
    soft = torch.sigmoid((logits + logistic) / temperature)
    hard = (soft > 0.5).to(soft.dtype)
    return hard + (soft - soft.detach())


def draw_logistic(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draw standard logistic noise."""
    tiny = torch.finfo(torch.float32).eps
    uniform = torch.rand(shape, device=device).clamp(tiny, 1 - tiny)
    return uniform.log() - torch.log1p(-uniform)


def divergence(p: Normal, q: Normal) -> Tensor:
    """Return the counterfactual term of p from q, elementwise; the distance is not scaled (5.4)."""
    return 0.5 * (
        torch.log(q.variance)
        - torch.log(p.variance)
        + p.variance / q.variance
        + (p.mean - q.mean) ** 2
        - 1
    )
