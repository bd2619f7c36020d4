"""Compare every number of a recorded run with ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo, sample_shared
from gpo_vae_jax.model import bind
from gpo_vae_jax.model.cell_effects import cell_effects
from gpo_vae_jax.model.heads import head_of
from gpo_vae_jax.model.precision import products_at
from gpo_vae_jax.objective import loss
from gpo_vae_jax.original import state_dict
from gpo_vae_jax.parity import records
from gpo_vae_jax.parity.records import Record, Settings
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.optimizer import make_optimizer
from gpo_vae_jax.train.step import StepState, train_step
from gpo_vae_jax.types import Array, Batch, Params

LOSS, GRADIENT, ZERO = 2e-5, 2e-4, 1e-6
STEP_LOSS, STEP_NORM, PARAMETER, SHARE = 1e-4, 1e-3, 2e-3, 0.99
VALUE = 1e-4
SIGNED_FLOOR = 1e-3  # signed values cross 0: below this share of the largest, errors are absolute

TERMS = {  # recorded name -> ours
    "loss_term_reconstruction": "reconstruction",
    "loss_term_mask": "mask",
    "loss_term_E": "embedding",
    "loss_term_qc_E": "quality",
    "loss_term_z_basal": "basal",
    "cf_KLdivergence": "counterfactual_kl",
    "grn_loss": "grn",
    "penalty": "penalty",
}


_gradients = jax.jit(jax.grad(loss, has_aux=True), static_argnames="spec")
_step = jax.jit(train_step, static_argnames="spec")


@partial(jax.jit, static_argnames="spec")
def _decoded(
    params: Params, latent: dict[str, Array], batch: Batch, failed: Array, *, spec: Spec
) -> tuple[Array, Array, Array]:
    """Return mean, variance and log-probability of the counts of every cell and gene."""
    decoder = bind(params, spec).decoder
    effects = cell_effects(latent["E"], latent["mask"], batch, spec=spec)
    hidden = decoder.hidden(latent["z_basal"], effects, latent["qc_E"], failed)
    given = decoder.distribution(hidden, batch.library_size)
    return given.mean, given.variance, decoder.log_prob(batch.counts, given)


class Result(NamedTuple):
    """The outcome for one file."""

    passed: bool
    loss_error: float  # relative; that of the worst value where there is no loss
    worst_error: float  # of gradients: relative to the largest entry of the gradient
    worst_name: str  # the parameter or output with that error
    note: str = ""


def check(path: str | Path) -> Result:
    """Compare one file; its fields say what it holds. Matrix products are float32.

    Raises:
      DataError: the file does not have the format of a recorded run.
    """
    record, settings = records.read(path)
    try:
        with products_at("float32"):
            return _kind_of(record)(record, settings)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _check_loss(record: Record, settings: Settings) -> Result:
    spec = records.spec_of(settings, record["batch/qc"])
    params = state_dict.from_torch(record.under("param/"), spec)
    context = records.context_of(record, "param/", spec.sizes)
    batch, noise = records.batch_of(record, "batch/"), records.noise_of(record, "noise/")
    gradients, parts = _gradients(params, context, batch, noise, spec=spec)
    ours = state_dict.to_torch(gradients, spec)

    recorded = record.under("grad/")
    _require_gradients(recorded, ours, spec)
    errors, close = {}, []
    for name, gradient in recorded.items():
        gap, largest = _largest(ours[name] - gradient), _largest(gradient)
        errors[name] = gap / largest if largest > 0 else gap
        close.append(errors[name] <= (GRADIENT if largest > 0 else ZERO))
    loss_error = _relative(parts["loss"], record["out/loss"])
    terms = {name: _of_term(parts[ours], record[f"out/{name}"]) for name, ours in TERMS.items()}
    term = _worst(terms)
    passed = loss_error <= LOSS and terms[term] <= LOSS and all(close)
    worst = _worst(errors)
    note = f"{len(errors)} gradients; terms {terms[term]:.0e}"
    return Result(bool(passed), loss_error, errors[worst], worst, note)


def _check_train(record: Record, settings: Settings) -> Result:
    spec = records.spec_of(settings, record["batch0/qc"])
    train = records.optimiser_of(record, settings)
    spec = dataclasses.replace(spec, train=train)
    params = state_dict.from_torch(record.under("param0/"), spec)
    params = jax.tree.map(jnp.asarray, params)
    context = records.context_of(record, "param0/", spec.sizes)
    state = StepState(params, make_optimizer(train).init(params))
    losses, norms, n_steps = [], [], len(record["losses"])
    for i in range(n_steps):
        batch = records.batch_of(record, f"batch{i}/")
        noise = records.noise_of(record, f"noise{i}/")
        state, parts = _step(state, context, batch, noise, spec=spec)
        losses.append(_relative(parts["loss"], record["losses"][i]))
        norms.append(_relative(parts["gradient_norm"], record["grad_norms_before_clip"][i]))
    ours = state_dict.to_torch(state.params, spec)
    final = record.under(f"param{n_steps}/")
    trained = [entry.torch for entry in state_dict.entries(spec.model)]
    gaps = {name: np.abs(ours[name] - final[name]) for name in trained}
    close = np.concatenate([(gap <= PARAMETER).ravel() for gap in gaps.values()]).mean()
    largest = {name: _largest(gap) for name, gap in gaps.items()}
    loss_error, norm_error, worst = np.max(losses), np.max(norms), _worst(largest)
    passed = loss_error <= STEP_LOSS and norm_error <= STEP_NORM and close >= SHARE
    note = f"norm {norm_error:.1e}; {100 * close:.2f}% of parameters within {PARAMETER:g}"
    return Result(bool(passed), float(loss_error), largest[worst], worst, note)


def _check_decode(record: Record, settings: Settings) -> Result:
    spec = records.spec_of(settings, record["qc"])
    params = state_dict.from_torch(record.under("param/"), spec, decoder_only=True)
    batch, errors = records.batch_of(record), {}
    latent = {name: record[f"latent/{name}"] for name in ("z_basal", "E", "mask", "qc_E")}
    counts_mean = head_of(spec.model.likelihood_key).draws_counts
    for quality, flag in (("good", 0.0), ("bad", 1.0)):
        failed = jnp.full(batch.weight.shape, flag)
        mean, variance, log_prob = _decoded(params, latent, batch, failed, spec=spec)
        for name, value, signed in (
            ("mean", mean, not counts_mean),
            ("variance", variance, False),
            ("log_prob", log_prob, True),
        ):
            name = f"{quality}_{name}"
            errors[name] = _largest_relative(value, record[f"out/{name}"], signed)
    return _of_values(errors)


def _check_iwelbo(record: Record, settings: Settings) -> Result:
    spec = records.spec_of(settings, record["batch/qc"])
    params = state_dict.from_torch(record.under("param/"), spec)
    ours = predictive_iwelbo(
        params,
        records.statistics_of(record, "param/", spec.sizes),
        records.batch_of(record, "batch/"),
        sample_shared(params, records.shared_noise_of(record, "noise/"), spec=spec),
        record["noise/z_basal_eps"],
        spec=spec,
    )
    return _of_values({"iwelbo": _largest_relative(ours, record["out/iwelbo"], signed=True)})


def _kind_of(record: Record) -> Callable[[Record, Settings], Result]:
    kinds = {
        "out/loss": _check_loss,
        "losses": _check_train,
        "out/good_mean": _check_decode,
        "out/iwelbo": _check_iwelbo,
    }
    for field, kind in kinds.items():
        if field in record:
            return kind
    raise DataError(f"this is no recorded run: it has none of the fields {', '.join(kinds)}")


def _require_gradients(recorded: Record, ours: dict[str, np.ndarray], spec: Spec) -> None:
    """Check that gradients are recorded for exactly the parameters that have one."""
    expected = {entry.torch for entry in state_dict.entries(spec.model)}
    differ = {name for name in expected - set(recorded) if _largest(ours[name]) > ZERO}
    differ |= set(recorded) - expected
    if differ:
        raise DataError(
            "the recorded gradients are not those of the parameters of these settings: "
            + ", ".join(sorted(differ))
        )


def _of_values(errors: dict[str, float]) -> Result:
    worst = _worst(errors)
    return Result(errors[worst] <= VALUE, errors[worst], errors[worst], worst)


def _worst(errors: dict[str, float]) -> str:
    """Return the name of the largest error; nan counts as the largest."""
    return max(errors, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))


def _largest(values) -> float:
    return float(np.max(np.abs(np.asarray(values, np.float64))))


def _relative(ours, recorded) -> float:
    ours, recorded = float(ours), float(recorded)
    return abs(ours - recorded) / max(abs(recorded), 1e-12)


def _of_term(ours, recorded) -> float:
    """Return the error of a part of the loss, absolute near 0, where its sum cancels."""
    return abs(float(ours) - float(recorded)) / max(abs(float(recorded)), 1.0)


def _largest_relative(ours, recorded, signed: bool) -> float:
    ours, recorded = np.asarray(ours, np.float64), np.asarray(recorded, np.float64)
    if ours.shape != recorded.shape:
        raise DataError(f"our values have shape {ours.shape}, the recorded ones {recorded.shape}")
    size = np.abs(recorded)
    floor = SIGNED_FLOOR * size.max() if signed else 1e-30
    return _largest((ours - recorded) / np.maximum(size, floor))
