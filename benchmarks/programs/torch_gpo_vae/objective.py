"""The whole model and its loss (docs/method.md 5)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.programs.torch_gpo_vae.distributions import divergence
from benchmarks.programs.torch_gpo_vae.generative import Generative
from benchmarks.programs.torch_gpo_vae.guide import Guide, GuidePass, PassNoise
from benchmarks.programs.torch_gpo_vae.settings import Settings


class Batch(NamedTuple):
    """Some cells, one row each."""

    X: Tensor  # [B, G] counts
    D: Tensor  # [B, T] dosage
    qc: Tensor  # [B, Q]
    cfX: Tensor  # [B, G] counterfactual counts
    deltaX: Tensor  # [B, T]
    library_size: Tensor  # [B]


class Counts(NamedTuple):
    """The number of cells of the split that share each variable."""

    D: Tensor  # [T]
    qc: Tensor  # [Q]


class GPOVAE(nn.Module):
    """The generative model and the guide."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.settings = settings
        self.model = Generative(settings)
        self.guide = Guide(settings)

    def forward(
        self,
        batch: Batch,
        counts: Counts,
        noise: tuple[PassNoise | None, PassNoise | None] = (None, None),
    ) -> dict[str, Tensor]:
        """Return the loss and its parts; missing noise is drawn."""
        s = self.settings
        X, D, qc, cfX, deltaX, library_size = batch
        guided = self.guide(X, D, qc, noise[0])
        second = self.guide(cfX, D, 1 - qc, noise[1])
        terms = self._cell_terms(batch, counts, guided, library_size)
        bound = sum(terms.values()).mean()
        has_counterfactual = (cfX != 0).any(-1)
        kl = divergence(second.q_z_basal, guided.q_flipped)[:, has_counterfactual]
        parts = {
            "cf_KLdivergence": s.beta * kl.mean(0).sum(),
            "grn_loss": s.gloss * self._grn_alignment(D, deltaX),
            "penalty": s.penalty * self.guide.mask_probs().sum() / s.treatments**2,
        }
        flipped = {f"loss_term_{name}": -term.mean() for name, term in terms.items()}
        return {"loss": -bound + sum(parts.values()), **flipped, **parts}

    def _cell_terms(
        self, batch: Batch, counts: Counts, guided: GuidePass, library_size: Tensor
    ) -> dict[str, Tensor]:
        """Return the reconstruction and log p - log q of every variable, [P, B] each."""
        latents = guided.latents
        seen = self.model(latents, batch.D, library_size)
        failed = batch.qc.amax(-1) != 0  # [B]
        alpha = self.settings.alpha
        alpha = failed.float().mean() if alpha is None else torch.tensor(alpha)
        weight = torch.where(failed, 1 - alpha, alpha)
        log_prob = torch.where(
            failed, seen.bad.log_prob(batch.X).sum(-1), seen.good.log_prob(batch.X).sum(-1)
        )
        posteriors = {
            "mask": guided.q_mask,
            "E": guided.q_E,
            "qc_E": guided.q_qc_E,
            "z_basal": guided.q_z_basal,
        }
        gaps = {}
        for name, prior in self.model.priors(latents).items():
            value = getattr(latents, name)
            gaps[name] = (prior.log_prob(value) - posteriors[name].log_prob(value)).sum(-1)
        used, failing = (batch.D != 0).float(), (batch.qc != 0).float()
        return {
            "reconstruction": weight * log_prob,
            "mask": _share(gaps["mask"], counts.D) @ used.T,
            "E": _share(gaps["E"], counts.D) @ used.T,
            "qc_E": _share(gaps["qc_E"], counts.qc) @ failing.T,
            "z_basal": gaps["z_basal"],
        }

    def _grn_alignment(self, D: Tensor, deltaX: Tensor) -> Tensor:
        """Return the mean distance of the network's reach from the observed changes (5.5)."""
        s, values = self.settings, self.guide.mask_values()
        if s.mask_kind == "logits":
            network, shrink, target = values, s.treatments, deltaX - s.fc_criteria
        else:
            network, shrink = values / values.sum(1, keepdim=True), 1.0
            target = torch.sigmoid(deltaX - s.fc_criteria)
        reach = power = network
        for _ in range(s.hop):
            power = power @ network / shrink
            reach = reach + power
        if s.mask_kind == "probs":
            low, high = reach.amin(0, keepdim=True), reach.amax(0, keepdim=True)
            reach = (reach - low) / (high - low + 1e-8)
        return (D @ reach - target).abs().mean()


def _share(rows: Tensor, n_cells: Tensor) -> Tensor:
    """Divide the term of a row among its cells; a row without cells contributes nothing."""
    return torch.where(n_cells > 0, rows / n_cells.clamp(min=1), 0.0)
