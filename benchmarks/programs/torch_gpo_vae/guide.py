"""The guide q (docs/method.md 3): a full pass samples everything and returns both posteriors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal
from torch.distributions.utils import probs_to_logits

from benchmarks.programs.torch_gpo_vae.distributions import (
    draw_logistic,
    straight_through_bernoulli,
)
from benchmarks.programs.torch_gpo_vae.layers import GaussianHead
from benchmarks.programs.torch_gpo_vae.settings import Settings


class PassNoise(NamedTuple):
    """The random draws of one guide pass."""

    mask_logistic: Tensor  # [P, T, T]
    E_eps: Tensor  # [P, T, T]
    qc_E_eps: Tensor  # [P, Q, L]
    z_basal_eps: Tensor  # [P, B, L]


class Latents(NamedTuple):
    """One sample of every variable per particle."""

    mask: Tensor  # [P, T, T]
    E: Tensor  # [P, T, T]
    qc_E: Tensor  # [P, Q, L]
    z_basal: Tensor  # [P, B, L]


class GuidePass(NamedTuple):
    """The samples and posteriors of one pass."""

    latents: Latents
    q_mask: Bernoulli  # [T, T]
    q_E: Normal  # [P, T, T]
    q_qc_E: Normal  # [Q, L]
    q_z_basal: Normal  # [P, B, L]
    q_flipped: Normal  # [P, B, L], given the opposite quality


class Normalization(nn.Module):
    """Standardise counts, or their logarithm, gene by gene."""

    def __init__(self, kind: str, n_genes: int):
        super().__init__()
        self.log = kind == "log_standardize"
        mean, scale = ("log_mean", "log_scale") if self.log else ("mean", "scale")
        self.register_buffer(mean, torch.zeros(n_genes))
        self.register_buffer(scale, torch.ones(n_genes))

    def load_statistics(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Load the statistics that inputs.cells.statistics returns."""
        name, mine = ("log_x", "log_") if self.log else ("x", "")
        getattr(self, f"{mine}mean").copy_(torch.from_numpy(statistics[f"{name}_mean"]))
        getattr(self, f"{mine}scale").copy_(torch.from_numpy(statistics[f"{name}_std"]))

    def forward(self, x: Tensor) -> Tensor:
        """Map counts [B, G] to [B, G]."""
        if self.log:
            return (torch.log1p(x) - self.log_mean) / self.log_scale
        return (x - self.mean) / self.scale


class Guide(nn.Module):
    """The posteriors q(M), q(E | M), q(qcE) and q(z_basal | X, D, qc, E, M)."""

    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        start = torch.full((s.treatments, s.treatments), s.mask_init)
        self.param_dict = nn.ParameterDict({f"q_mask_{s.mask_kind}": nn.Parameter(start)})
        self.register_buffer("treatment_one_hot", torch.eye(s.treatments))
        self.register_buffer("qc_encoder_input", torch.ones(s.qualities, s.latent))
        self.register_buffer("gs_temperature", torch.full((1,), s.temperature))
        deep = (s.embedding_hidden, s.embedding_layers)
        self.embedding_encoder = GaussianHead(2 * s.treatments, *deep, s.treatments)
        self.qc_encoder = GaussianHead(s.latent, *deep, s.latent)
        self.normalization_module = (
            Normalization(s.normalization, s.genes) if s.normalization else nn.Identity()
        )
        self.z_basal_encoder = GaussianHead(
            s.genes + s.treatments + s.latent, s.basal_hidden, s.basal_layers, s.latent
        )

    def mask_values(self) -> Tensor:
        """Return the mask's parameter without nan, [T, T]: logits, or probabilities in [0, 1]."""
        values = self.param_dict[f"q_mask_{self.settings.mask_kind}"]
        values = torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        return values if self.settings.mask_kind == "logits" else values.clamp(0, 1)

    def mask_probs(self) -> Tensor:
        """Return the probability of every edge, [T, T]."""
        values = self.mask_values()
        return torch.sigmoid(values) if self.settings.mask_kind == "logits" else values

    def mask_logits(self) -> Tensor:
        """Return the log-odds of every edge, [T, T]."""
        values = self.mask_values()
        if self.settings.mask_kind == "logits":
            return values
        return probs_to_logits(values, is_binary=True)

    def forward(self, X: Tensor, D: Tensor, qc: Tensor, noise: PassNoise | None) -> GuidePass:
        """Sample every variable given counts [B, G], dosage [B, T] and quality [B, Q]."""
        noise = noise or self.draw_noise(len(X), X.device)
        n_particles = len(noise.mask_logistic)
        logits = self.mask_logits()
        mask = straight_through_bernoulli(logits, noise.mask_logistic, self.gs_temperature)
        one_hot = self.treatment_one_hot.expand(n_particles, -1, -1)
        q_E = self.embedding_encoder(torch.cat([mask, one_hot], -1))
        E = _sampled(q_E, noise.E_eps)
        q_qc_E = self.qc_encoder(self.qc_encoder_input)
        qc_E = _sampled(q_qc_E, noise.qc_E_eps)

        x = self.normalization_module(X).expand(n_particles, -1, -1)
        effect = D @ (E * mask)  # [P, B, T]
        q_z_basal = self.z_basal_encoder(torch.cat([x, effect, qc @ qc_E], -1))
        q_flipped = self.z_basal_encoder(torch.cat([x, effect, (1 - qc) @ qc_E], -1))
        return GuidePass(
            latents=Latents(mask, E, qc_E, _sampled(q_z_basal, noise.z_basal_eps)),
            q_mask=Bernoulli(logits=logits, validate_args=False),
            q_E=q_E,
            q_qc_E=q_qc_E,
            q_z_basal=q_z_basal,
            q_flipped=q_flipped,
        )

    def draw_noise(self, n_cells: int, device: torch.device) -> PassNoise:
        """Draw the noise of one pass."""
        s = self.settings
        rows = (s.n_particles, s.treatments, s.treatments)
        return PassNoise(
            mask_logistic=draw_logistic(rows, device),
            E_eps=torch.randn(rows, device=device),
            qc_E_eps=torch.randn(s.n_particles, s.qualities, s.latent, device=device),
            z_basal_eps=torch.randn(s.n_particles, n_cells, s.latent, device=device),
        )


def _sampled(q: Normal, eps: Tensor) -> Tensor:
    return q.mean + q.stddev * eps
