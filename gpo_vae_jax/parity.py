"""Compare this implementation with recorded numbers of the PyTorch original (.npz files)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax import torch_port
from gpo_vae_jax.config import Config, ModelConfig, ObjectiveConfig, TrainConfig
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.predictive import predictive_iwelbo
from gpo_vae_jax.model import bind
from gpo_vae_jax.objective import loss
from gpo_vae_jax.train.optimizer import make_optimizer
from gpo_vae_jax.train.step import StepState, train_step
from gpo_vae_jax.types import Batch, Context, InputStatistics, Noise, SharedNoise, Sizes

LOSS, GRADIENT, ZERO = 2e-5, 2e-4, 1e-6
STEP_LOSS, STEP_NORM, PARAMETER, SHARE = 1e-4, 1e-3, 2e-3, 0.99
VALUE = 1e-4
FLOOR = 1e-2  # added to the size of a value: what is near 0 is compared absolutely, to 1e-6

Record = dict[str, np.ndarray]


class Result(NamedTuple):
    """Hold what a file showed."""

    passed: bool
    loss_error: float  # relative; of the worst value where there is no loss
    worst_error: float  # of gradients: relative to the gradient's largest entry
    worst_name: str  # the parameter or output with that error
    note: str = ""


def check(path: str | Path) -> Result:
    """Compare one file; what it holds is read off its fields.

    Raises:
      DataError: the file is not in the format of the recorded numbers.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            record = {name: file[name] for name in file.files}
        settings = json.loads(str(record["config"]))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} holds no recorded run (an .npz with 'config'): {error}") from error
    return _kind_of(path, record)(record, settings)


def configs_of(settings: dict[str, Any]) -> tuple[Config, Sizes]:
    """Read the settings that a file records about itself."""
    s = settings
    model = ModelConfig(
        n_latent=s["L"],
        basal_encoder_n_layers=s["enc_layers"],
        basal_encoder_n_hidden=s["HB"],
        embedding_encoder_n_layers=s["emb_layers"],
        embedding_encoder_n_hidden=s["HE"],
        decoder_n_layers=s["dec_layers"],
        decoder_n_hidden=s["H"],
        likelihood_key=s["lik"],
        input_normalization=s["norm"] or "none",
        sum_mode=s["sum_mode"],
        mean_field_encoder=s.get("mean_field", False),
        logits_or_probs=s["lp"],
        temperature=s["temp"],
        mask_prior=s["mask_prior"],
        embedding_prior_scale=s["prior_scale"],
    )
    objective = ObjectiveConfig(
        beta=s["beta"],
        alpha=s["alpha"],
        hop=s["hop"],
        gloss_coeff=s["gloss"],
        fc_criteria=s["fc"],
        penalty_coeff=s["pen"],
    )
    return Config(model=model, objective=objective), Sizes(s["G"], s["T"], s["T"], s.get("Q", 1))


def loss_and_gradients(record: Record, settings: dict[str, Any]) -> tuple[dict, dict]:
    """Give our parts of the loss, and our gradients under PyTorch's names."""
    config, sizes = configs_of(settings)
    sizes = _with_quality(sizes, record["batch/qc"])
    params = torch_port.from_torch(_under(record, "param/"), config.model, sizes)
    context = _context(record, "param/", sizes)
    batch, noise = _batch(record, "batch/"), _noise(record, "noise/")
    function = jax.jit(jax.grad(loss, has_aux=True), static_argnames=("config", "sizes"))
    gradients, parts = function(params, context, batch, noise, config=config, sizes=sizes)
    named = torch_port.to_torch(gradients, config.model, sizes)
    return {k: np.asarray(v) for k, v in parts.items()}, named


def _check_loss(record: Record, settings: dict[str, Any]) -> Result:
    parts, gradients = loss_and_gradients(record, settings)
    loss_error = _relative(parts["loss"], record["out/loss"])
    errors, passed = {}, loss_error <= LOSS
    for name, recorded in _under(record, "grad/").items():
        gap = np.abs(gradients[name] - recorded).max()
        largest = np.abs(recorded).max()
        errors[name] = gap / largest if largest > 0 else gap
        passed &= bool(errors[name] <= (GRADIENT if largest > 0 else ZERO))
    worst = max(errors, key=errors.get)
    return Result(passed, loss_error, errors[worst], worst, f"{len(errors)} gradients")


def _check_train(record: Record, settings: dict[str, Any]) -> Result:
    config, sizes = configs_of(settings)
    sizes = _with_quality(sizes, record["batch0/qc"])
    config = Config(model=config.model, objective=config.objective, train=_train(record, settings))
    params = torch_port.from_torch(_under(record, "param0/"), config.model, sizes)
    params = jax.tree.map(jnp.asarray, params)
    context = _context(record, "param0/", sizes)
    state = StepState(params, make_optimizer(config.train).init(params))
    step = jax.jit(train_step, static_argnames=("config", "sizes"))
    loss_error = norm_error = 0.0
    n_steps = len(record["losses"])
    for i in range(n_steps):
        batch, noise = _batch(record, f"batch{i}/"), _noise(record, f"noise{i}/")
        state, parts = step(state, context, batch, noise, config=config, sizes=sizes)
        loss_error = max(loss_error, _relative(parts["loss"], record["losses"][i]))
        recorded = record["grad_norms_before_clip"][i]
        norm_error = max(norm_error, _relative(parts["gradient_norm"], recorded))
    ours = torch_port.to_torch(state.params, config.model, sizes)
    final = _under(record, f"param{n_steps}/")
    trained = [entry.torch for entry in torch_port.entries(config.model)]
    gaps = {name: np.abs(ours[name] - final[name]) for name in trained}
    close = np.concatenate([(gap <= PARAMETER).ravel() for gap in gaps.values()]).mean()
    worst = max(gaps, key=lambda name: gaps[name].max())
    passed = loss_error <= STEP_LOSS and norm_error <= STEP_NORM and close >= SHARE
    note = f"norm {norm_error:.1e}, {100 * close:.2f}% of parameters within {PARAMETER:g}"
    return Result(bool(passed), loss_error, float(gaps[worst].max()), worst, note)


def _check_decode(record: Record, settings: dict[str, Any]) -> Result:
    config, sizes = configs_of(settings)
    sizes = _with_quality(sizes, record["qc"])
    state = _under(record, "param/")
    params = torch_port.from_torch(state, config.model, sizes, decoder_only=True)
    model, batch = bind(params, config.model, sizes), _batch(record, "")
    latent = _under(record, "latent/")
    errors = {}
    for quality, flag in (("good", 0.0), ("bad", 1.0)):
        hidden = model.decoder.hidden(
            latent["z_basal"],
            latent["E"] * latent["mask"],
            latent["qc_E"],
            jnp.full(batch.weight.shape, flag),
            batch,
        )
        given = model.decoder.distribution(hidden, batch.library_size)
        values = {
            "mean": given.mean,
            "variance": given.variance,
            "log_prob": model.decoder.log_prob(batch.counts, given),
        }
        for name, value in values.items():
            recorded = record[f"out/{quality}_{name}"]
            errors[f"{quality}_{name}"] = float(np.max(_relative_entries(value, recorded)))
    return _of_values(errors)


def _check_iwelbo(record: Record, settings: dict[str, Any]) -> Result:
    config, sizes = configs_of(settings)
    sizes = _with_quality(sizes, record["batch/qc"])
    params = torch_port.from_torch(_under(record, "param/"), config.model, sizes)
    statistics = _statistics(record, "param/", sizes)
    noise = _shared_noise(record, "noise/")
    ours = predictive_iwelbo(
        params,
        statistics,
        _batch(record, "batch/"),
        noise,
        record["noise/z_basal_eps"],
        config=config.model,
        sizes=sizes,
    )
    return _of_values({"iwelbo": float(np.max(_relative_entries(ours, record["out/iwelbo"])))})


def _kind_of(path: str | Path, record: Record) -> Callable[[Record, dict[str, Any]], Result]:
    kinds = {
        "out/loss": _check_loss,
        "losses": _check_train,
        "out/good_mean": _check_decode,
        "out/iwelbo": _check_iwelbo,
    }
    for field, kind in kinds.items():
        if field in record:
            return kind
    raise DataError(f"{path} has none of the fields {', '.join(kinds)}")


def _train(record: Record, settings: dict[str, Any]) -> TrainConfig:
    rates, rate = np.asarray(record["lrs"], float), settings["lr"]
    common = {"gradient_clip_norm": settings["clip"]}
    if np.ptp(rates) == 0 and np.isclose(rates[0], rate):
        return TrainConfig(learning_rate=rate, **common)
    low = float(rates[0])
    up = round((rate - low) / float(rates[1] - rates[0]))
    return TrainConfig(
        optimizer="sgd", cyclic_low=low, cyclic_high=rate, cyclic_step_size_up=up, **common
    )


def _batch(record: Record, at: str) -> Batch:
    dosage = record[f"{at}D"]
    n_cells, width = dosage.shape[0], max(1, int((dosage != 0).sum(1).max()))
    index = np.argsort(dosage == 0, axis=1, kind="stable")[:, :width]
    counts = record[f"{at}X"]
    size = record.get(f"{at}library_size", counts.sum(1))
    return Batch(
        counts=jnp.asarray(counts),
        library_size=jnp.asarray(size.reshape(n_cells)),
        perturbation=jnp.asarray(index.astype(np.int32)),
        dosage=jnp.asarray(np.take_along_axis(dosage, index, 1).astype(np.float32)),
        qc_fail=jnp.asarray(record[f"{at}qc"]),
        counterfactual=jnp.asarray(record.get(f"{at}cfX", np.zeros_like(counts))),
        delta=jnp.asarray(record.get(f"{at}deltaX", np.zeros_like(dosage))),
        weight=jnp.ones(n_cells),
    )


def _noise(record: Record, at: str) -> Noise:
    return Noise(
        shared=_shared_noise(record, at),
        basal=jnp.asarray(record[f"{at}z_basal_eps"]),
        counterfactual=_shared_noise(record, f"{at}cf_"),
    )


def _shared_noise(record: Record, at: str) -> SharedNoise:
    names = ("mask_logistic", "E_eps", "qc_E_eps")
    return SharedNoise(*(jnp.asarray(record[f"{at}{name}"]) for name in names))


def _context(record: Record, params: str, sizes: Sizes) -> Context:
    cells = (jnp.asarray(record[f"counts/{name}"], jnp.float32) for name in ("D", "qc"))
    return Context(_statistics(record, params, sizes), *cells, jnp.ones(sizes.n_treatments))


def _statistics(record: Record, params: str, sizes: Sizes) -> InputStatistics:
    if "stats/x_mean" in record:
        names = ("x_mean", "x_std", "log_x_mean", "log_x_std")
        return InputStatistics(*(jnp.asarray(record[f"stats/{name}"]) for name in names))
    found = torch_port.statistics_from_torch(_under(record, params))
    if found is None:
        zeros, ones = np.zeros(sizes.n_genes, np.float32), np.ones(sizes.n_genes, np.float32)
        found = InputStatistics(zeros, ones, zeros, ones)
    return jax.tree.map(jnp.asarray, found)


def _with_quality(sizes: Sizes, qc: np.ndarray) -> Sizes:
    return Sizes(sizes.n_genes, sizes.n_treatments, sizes.n_perturbed, qc.shape[1])


def _under(record: Record, prefix: str) -> Record:
    return {k[len(prefix) :]: v for k, v in record.items() if k.startswith(prefix)}


def _relative(ours, recorded) -> float:
    return float(abs(float(ours) - float(recorded)) / max(abs(float(recorded)), 1e-12))


def _relative_entries(ours, recorded) -> np.ndarray:
    ours, recorded = np.asarray(ours, np.float64), np.asarray(recorded, np.float64)
    gap = np.abs(ours - recorded)
    gap = np.where(np.isfinite(gap), gap, np.inf)
    return gap / (np.abs(recorded) + FLOOR)


def _of_values(errors: dict[str, float]) -> Result:
    worst = max(errors, key=errors.get)
    return Result(errors[worst] <= VALUE, errors[worst], errors[worst], worst)
