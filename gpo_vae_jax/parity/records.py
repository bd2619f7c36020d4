"""The contents of a recorded run as our types: settings, batches, noise and statistics."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax import config_io
from gpo_vae_jax.config import TrainConfig
from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.model.heads import head_of
from gpo_vae_jax.original import state_dict
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Batch, Context, InputStatistics, Noise, SharedNoise, Sizes

Settings = dict[str, Any]


class Record(dict):
    """Arrays by name; a missing name is a DataError."""

    def __missing__(self, name: str):
        raise DataError(f"the recorded run has no {name!r}")

    def under(self, prefix: str) -> Record:
        """Return the entries whose names begin with a prefix, without the prefix."""
        return Record({k[len(prefix) :]: v for k, v in self.items() if k.startswith(prefix)})


def read(path: str | Path) -> tuple[Record, Settings]:
    """Read a recorded run and its settings (raises DataError)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            record = Record({name: file[name] for name in file.files})
        return record, json.loads(str(record["config"]))
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"{path} holds no recorded run (an .npz with 'config'): {error}") from error


def spec_of(settings: Settings, qc: np.ndarray) -> Spec:
    """Return the sizes and settings that a file records about itself (raises DataError)."""
    s = settings
    try:
        model = {
            "n_latent": s["L"],
            "basal_encoder_n_layers": s["enc_layers"],
            "basal_encoder_n_hidden": s["HB"],
            "embedding_encoder_n_layers": s["emb_layers"],
            "embedding_encoder_n_hidden": s["HE"],
            "decoder_n_layers": s["dec_layers"],
            "decoder_n_hidden": s["H"],
            "likelihood_key": s["lik"],
            "input_normalization": s["norm"] or "none",
            "sum_mode": s["sum_mode"],
            "mean_field_encoder": s.get("mean_field", False),
            "logits_or_probs": s["lp"],
            "temperature": s["temp"],
            "mask_prior": s["mask_prior"],
            "embedding_prior_scale": s["prior_scale"],
        }
        objective = {
            "beta": s["beta"],
            "alpha": s["alpha"],
            "hop": s["hop"],
            "gloss_coeff": s["gloss"],
            "fc_criteria": s["fc"],
            "penalty_coeff": s["pen"],
        }
        config = config_io.from_dict({"model": model, "objective": objective})
        head_of(config.model.likelihood_key)
        return Spec.of(config, Sizes(s["G"], s["T"], s["T"], qc.shape[1]))
    except KeyError as error:
        raise DataError(f"the recorded settings have no {error}") from error
    except ConfigError as error:
        raise DataError(f"the recorded settings cannot be used: {error}") from error


def optimiser_of(record: Record, settings: Settings) -> TrainConfig:
    """Infer the optimiser from the recorded learning rates (raises DataError).

    Adam keeps the rate of the settings; cyclic SGD starts below it and climbs to it.
    """
    rates, rate = np.asarray(record["lrs"], float), settings["lr"]
    train = TrainConfig(gradient_clip_norm=settings["clip"])
    if np.allclose(rates, rate):
        return dataclasses.replace(train, learning_rate=rate)
    low, step = float(rates[0]), float(rates[1] - rates[0]) if len(rates) > 1 else 0.0
    up = round((rate - low) / step) if step else 1
    cycle = np.arange(len(rates)) % (2 * up)
    expected = low + (rate - low) * (1 - np.abs(cycle / up - 1))
    if not np.allclose(expected, rates, rtol=1e-4):
        raise DataError(
            f"the recorded rates {rates} are neither the constant {rate} nor a triangular cycle "
            f"from {low} to {rate} in {up} steps"
        )
    return dataclasses.replace(
        train, optimizer="sgd", cyclic_low=low, cyclic_high=rate, cyclic_step_size_up=up
    )


def batch_of(record: Record, at: str = "") -> Batch:
    """Return the batch recorded under a prefix."""
    dosage, counts = record[f"{at}D"], record[f"{at}X"]
    n_cells, width = dosage.shape[0], max(1, int((dosage != 0).sum(1).max()))
    index = np.argsort(dosage == 0, axis=1, kind="stable")[:, :width]
    size = record.get(f"{at}library_size", counts.sum(1))
    batch = Batch(
        counts=counts,
        library_size=size.reshape(n_cells),
        perturbation=index.astype(np.int32),
        dosage=np.take_along_axis(dosage, index, 1).astype(np.float32),
        qc_fail=record[f"{at}qc"],
        counterfactual=record.get(f"{at}cfX", np.zeros_like(counts)),
        delta=record.get(f"{at}deltaX", np.zeros_like(dosage)),
        weight=np.ones(n_cells, np.float32),
    )
    return jax.tree.map(jnp.asarray, batch)


def noise_of(record: Record, at: str) -> Noise:
    """Return the noise of both guide passes recorded under a prefix."""
    return Noise(
        shared=shared_noise_of(record, at),
        basal=jnp.asarray(record[f"{at}z_basal_eps"]),
        counterfactual=shared_noise_of(record, f"{at}cf_"),
    )


def shared_noise_of(record: Record, at: str) -> SharedNoise:
    """Return the noise of one guide pass."""
    names = ("mask_logistic", "E_eps", "qc_E_eps")
    return SharedNoise(*(jnp.asarray(record[f"{at}{name}"]) for name in names))


def context_of(record: Record, params: str, sizes: Sizes) -> Context:
    """Return the counts of the split, and its statistics from wherever the file has them."""
    return Context(
        statistics=statistics_of(record, params, sizes),
        treatment_cells=jnp.asarray(record["counts/D"], jnp.float32),
        quality_cells=jnp.asarray(record["counts/qc"], jnp.float32),
        measured=jnp.ones(sizes.n_treatments),
    )


def statistics_of(record: Record, params: str, sizes: Sizes) -> InputStatistics:
    """Return the input statistics: recorded, among the parameters, or neutral ones."""
    if "stats/x_mean" in record:
        names = ("x_mean", "x_std", "log_x_mean", "log_x_std")
        found = InputStatistics(*(record[f"stats/{name}"] for name in names))
    else:
        found = state_dict.statistics_from_torch(record.under(params))
    if found is None:
        zeros, ones = np.zeros(sizes.n_genes, np.float32), np.ones(sizes.n_genes, np.float32)
        found = InputStatistics(zeros, ones, zeros, ones)
    return jax.tree.map(jnp.asarray, found)
