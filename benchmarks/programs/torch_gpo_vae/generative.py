"""The generative model p (docs/method.md 2): priors, both decodes, sampled observations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Normal, Poisson

from benchmarks.programs.torch_gpo_vae.distributions import GammaPoisson
from benchmarks.programs.torch_gpo_vae.guide import Latents
from benchmarks.programs.torch_gpo_vae.layers import VARIANCE_FLOOR, ResidualMLP
from benchmarks.programs.torch_gpo_vae.settings import Settings

RATE_FLOOR = 1e-6


class FixedLogVariance(nn.Module):
    """The log-variance of each gene, independent of the input."""

    def __init__(self, n_genes: int):
        super().__init__()
        self.log_var = nn.Parameter(torch.zeros(n_genes))

    def forward(self, h: Tensor) -> Tensor:
        """Return the log-variance, [G]."""
        return self.log_var


class Decoder(nn.Module):
    """Map latents [P, B, F] to the distribution of counts [P, B, G]."""

    def __init__(self, s: Settings):
        super().__init__()
        self.likelihood = s.likelihood
        n_inputs = s.latent if s.sum_mode else s.latent + s.treatments + s.latent
        self.mlp = ResidualMLP(n_inputs, s.decoder_hidden, s.decoder_layers + 1)
        head = nn.Linear(s.decoder_hidden, s.genes)
        if s.likelihood == "library_nb":
            self.normalized_mean_decoder = nn.Sequential(head, nn.Softmax(-1))
            self.log_concentration = nn.Parameter(torch.zeros(s.genes))
        elif s.likelihood == "poisson":
            self.rate_decoder = nn.Sequential(head, nn.Softplus())
        else:
            fixed = s.likelihood == "normal_fixed_variance"
            self.mean_encoder = head
            self.log_var_encoder = (
                FixedLogVariance(s.genes) if fixed else nn.Linear(s.decoder_hidden, s.genes)
            )

    def forward(self, z: Tensor, library_size: Tensor) -> Distribution:
        """Return p(x | z); library sizes are [B]."""
        h = self.mlp(z)
        if self.likelihood == "library_nb":
            mu = library_size[:, None] * self.normalized_mean_decoder(h).float()
            concentration = torch.exp(self.log_concentration)
            return GammaPoisson(concentration, (concentration / (mu + 1e-4)).clamp(min=RATE_FLOOR))
        if self.likelihood == "poisson":
            rate = self.rate_decoder(h).float().clamp(min=RATE_FLOOR)
            return Poisson(rate, validate_args=False)
        variance = torch.exp(self.log_var_encoder(h).float()) + VARIANCE_FLOOR
        if self.likelihood == "normal":
            variance = torch.nan_to_num(variance.abs(), nan=1e-6, posinf=1e6)
        return Normal(self.mean_encoder(h).float(), variance.sqrt(), validate_args=False)


class Observations(NamedTuple):
    """p(x | z) under each quality, and a sample of each."""

    good: Distribution
    bad: Distribution
    good_sample: Tensor
    bad_sample: Tensor


class Generative(nn.Module):
    """The priors and the decoder."""

    def __init__(self, s: Settings):
        super().__init__()
        self.sum_mode = s.sum_mode
        square, small = (s.treatments, s.treatments), (s.qualities, s.latent)
        self.mask_prior = f"p_mask_{s.mask_kind}"  # a probability under both names
        self.register_buffer("p_E_loc", torch.zeros(square))
        self.register_buffer("p_E_scale", torch.full(square, s.prior_scale))
        self.register_buffer(self.mask_prior, torch.full(square, s.mask_prior))
        self.register_buffer("p_qc_E_loc", torch.zeros(small))
        self.register_buffer("p_qc_E_scale", torch.full(small, s.prior_scale))
        self.decoder = Decoder(s)

    def priors(self, latents: Latents) -> dict[str, Distribution]:
        """Return the prior of each variable."""
        zeros = torch.zeros_like(latents.z_basal)
        return {
            "mask": Bernoulli(getattr(self, self.mask_prior), validate_args=False),
            "E": Normal(self.p_E_loc, self.p_E_scale, validate_args=False),
            "qc_E": Normal(self.p_qc_E_loc, self.p_qc_E_scale, validate_args=False),
            "z_basal": Normal(zeros, torch.ones_like(zeros), validate_args=False),
        }

    def forward(self, latents: Latents, D: Tensor, library_size: Tensor) -> Observations:
        """Decode every cell under both qualities, and draw observations."""
        offset = D @ (latents.E * latents.mask)  # [P, B, T]
        quality = latents.qc_E.sum(-2, keepdim=True).expand_as(latents.z_basal)
        if self.sum_mode:
            z_good = latents.z_basal + offset
            z_bad = z_good + quality
        else:
            z_good = torch.cat([latents.z_basal, offset, torch.zeros_like(quality)], -1)
            z_bad = torch.cat([latents.z_basal, offset, quality], -1)
        good = self.decoder(z_good, library_size)
        bad = self.decoder(z_bad, library_size)
        return Observations(good, bad, good.sample(), bad.sample())
