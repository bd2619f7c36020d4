"""The settings of a model and its training, in one flat record.

Importing this module needs no torch: a process with the package can make the settings of a worker
that has torch alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from benchmarks.inputs import shapes


@dataclasses.dataclass(frozen=True)
class Settings:
    """Sizes, widths and coefficients; the defaults are those that all published runs share."""

    genes: int  # G
    treatments: int  # T
    latent: int  # L
    basal_hidden: int
    embedding_hidden: int
    decoder_hidden: int
    qualities: int = 1  # Q
    basal_layers: int = 1
    embedding_layers: int = 4
    decoder_layers: int = 1  # the decoder has one more
    likelihood: str = "library_nb"
    normalization: str | None = "log_standardize"
    sum_mode: bool = False
    mask_kind: str = "logits"  # or "probs"
    mask_init: float = 0.0
    temperature: float = 1.0
    mask_prior: float = 0.3
    prior_scale: float = 1.0
    beta: float = 0.1
    alpha: float | None = None
    hop: int = 5
    gloss: float = 100.0
    fc_criteria: float = 0.5
    penalty: float = 10.0
    n_particles: int = 5
    learning_rate: float = 3e-4
    weight_decay: float = 1e-6
    clip_norm: float = 100.0


def from_config(config: Any, genes: int, treatments: int) -> Settings:
    """Translate the package's configuration (gpo_vae_jax.config.Config)."""
    m, o, t = config.model, config.objective, config.train
    return Settings(
        genes=genes,
        treatments=treatments,
        latent=m.n_latent,
        basal_hidden=m.basal_encoder_n_hidden,
        embedding_hidden=m.embedding_encoder_n_hidden,
        decoder_hidden=m.decoder_n_hidden,
        basal_layers=m.basal_encoder_n_layers,
        embedding_layers=m.embedding_encoder_n_layers,
        decoder_layers=m.decoder_n_layers,
        likelihood=m.likelihood_key,
        normalization=None if m.input_normalization == "none" else m.input_normalization,
        sum_mode=m.sum_mode,
        mask_kind=m.logits_or_probs,
        mask_init=m.mask_init,
        temperature=m.temperature,
        mask_prior=m.mask_prior,
        prior_scale=m.embedding_prior_scale,
        beta=o.beta,
        alpha=o.alpha,
        hop=o.hop,
        gloss=o.gloss_coeff,
        fc_criteria=o.fc_criteria,
        penalty=o.penalty_coeff,
        n_particles=t.n_particles,
        learning_rate=t.learning_rate,
        weight_decay=t.weight_decay,
        clip_norm=t.gradient_clip_norm,
    )


def of_shape(
    shape: shapes.Shape, batch_size: int | None = None, n_particles: int | None = None
) -> dict[str, Any]:
    """Return the published settings of a shape as a plain dictionary; needs the package."""
    config = shapes.published(shape, batch_size, n_particles)
    return dataclasses.asdict(from_config(config, shape.genes, shape.treatments))


def from_record(recorded: Mapping[str, Any], qualities: int) -> Settings:
    """Translate the description that a recorded run carries."""
    r = recorded
    return Settings(
        genes=r["G"],
        treatments=r["T"],
        latent=r["L"],
        basal_hidden=r["HB"],
        embedding_hidden=r["HE"],
        decoder_hidden=r["H"],
        qualities=qualities,
        basal_layers=r["enc_layers"],
        embedding_layers=r["emb_layers"],
        decoder_layers=r["dec_layers"],
        likelihood=r["lik"],
        normalization=r["norm"],
        sum_mode=r["sum_mode"],
        mask_kind=r["lp"],
        temperature=r["temp"],
        mask_prior=r["mask_prior"],
        prior_scale=r["prior_scale"],
        beta=r["beta"],
        alpha=r["alpha"],
        hop=r["hop"],
        gloss=r["gloss"],
        fc_criteria=r["fc"],
        penalty=r["pen"],
        n_particles=r["P"],
        learning_rate=r.get("lr", 3e-4),
        clip_norm=r.get("clip", 100.0),
    )
