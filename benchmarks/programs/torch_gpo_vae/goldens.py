"""The baseline against the recorded runs of the original: losses, gradients, steps, decodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.programs.torch_gpo_vae import training
from benchmarks.programs.torch_gpo_vae.generative import Generative
from benchmarks.programs.torch_gpo_vae.guide import Latents, PassNoise
from benchmarks.programs.torch_gpo_vae.objective import GPOVAE, Batch, Counts
from benchmarks.programs.torch_gpo_vae.settings import from_record

TOLERANCE = 1e-4
ZERO = 1e-6  # absolute, where the recorded gradient is 0
SIGNED_FLOOR = 1e-3  # of the largest value: the least scale of values that cross 0
PATTERNS = ("loss_*.npz", "train_*.npz", "decode_*.npz")

Record = Mapping[str, np.ndarray]


class Result(NamedTuple):
    """The outcome of one file; all deviations are relative."""

    passed: bool
    n_values: int  # gradients, steps or outputs that were compared
    loss: float  # deviation of the loss (for decodes: of the worst output)
    worst: float  # the largest deviation
    name: str  # where it is


def check(path: Path) -> Result:
    """Compare one file; a gradient's deviation is relative to its own largest entry."""
    with np.load(path, allow_pickle=False) as file:
        record = dict(file)
    if "out/loss" in record:
        return _check_loss(record)
    return _check_train(record) if "losses" in record else _check_decode(record)


def files(folder: Path) -> list[Path]:
    """List the recorded runs that the baseline can be compared with."""
    found = [path for pattern in PATTERNS for path in sorted(folder.glob(pattern))]
    if not found:
        raise FileNotFoundError(f"no {' or '.join(PATTERNS)} in {folder}")
    return found


def table(folder: Path) -> tuple[str, bool]:
    """Compare all files; return a table, and whether all agree."""
    lines, agree = [f"{'file':24}{'values':>7}{'loss':>10}{'worst':>10}  where"], True
    for path in files(folder):
        result = check(path)
        agree &= result.passed
        verdict = "" if result.passed else "  DISAGREES"
        lines.append(
            f"{path.stem:24}{result.n_values:7}{result.loss:10.1e}{result.worst:10.1e}"
            f"  {result.name}{verdict}"
        )
    return "\n".join(lines), agree


def _check_loss(record: Record) -> Result:
    model = _model(record, "param/")
    batch, counts = _batch(record, "batch/"), _counts(record)
    parts = model(batch, counts, _noise(record, "noise/"))
    parts["loss"].backward()
    errors = {}
    for name, value in parts.items():
        recorded = float(record[f"out/{name}"])
        errors[name] = abs(float(value.detach()) - recorded) / max(abs(recorded), 1.0)
    for name, parameter in model.named_parameters():
        recorded = record[f"grad/{name}"]
        ours = np.zeros_like(recorded) if parameter.grad is None else parameter.grad.numpy()
        gap, largest = np.abs(ours - recorded).max(), np.abs(recorded).max()
        errors[name] = float(gap / largest if largest > 0 else gap * TOLERANCE / ZERO)
    return _result(errors, errors["loss"], len(errors))


def _check_train(record: Record) -> Result:
    model = _model(record, "param0/")
    rates, high = record["lrs"], model.settings.learning_rate
    if np.allclose(rates, high):
        optimizer, schedule = training.adam(model), None
    else:
        low, steps_up = float(rates[0]), round((high - rates[0]) / (rates[1] - rates[0]))
        optimizer, schedule = training.cyclic_sgd(model, low, high, steps_up)
    step, counts = training.make_step(model, optimizer, schedule), _counts(record)
    errors, losses = {}, []
    for i, recorded in enumerate(record["losses"]):
        errors[f"rate {i}"] = _relative(optimizer.param_groups[0]["lr"], rates[i])
        loss, norm = step(_batch(record, f"batch{i}/"), counts, _noise(record, f"noise{i}/"))
        losses.append(_relative(loss, recorded))
        errors[f"norm {i}"] = _relative(norm, record["grad_norms_before_clip"][i])
    for name, parameter in model.named_parameters():
        recorded = record[f"param{len(losses)}/{name}"]
        gap = np.abs(parameter.detach().numpy() - recorded).max()
        errors[name] = float(gap / np.abs(recorded).max())
    return _result({**errors, "losses": max(losses)}, max(losses), len(losses))


def _check_decode(record: Record) -> Result:
    settings = from_record(json.loads(str(record["config"])), record["qc"].shape[1])
    model = torch.nn.Module()
    model.model = Generative(settings)
    _load(model, record, "param/")
    latents = Latents(*(_tensor(record[f"latent/{name}"]) for name in Latents._fields))
    X = _tensor(record["X"])
    library_size = _tensor(record.get("library_size", record["X"].sum(1)))
    with torch.no_grad():
        seen = model.model(latents, _tensor(record["D"]), library_size)
        errors = {}
        for quality, given in (("good", seen.good), ("bad", seen.bad)):
            found = {"mean": given.mean, "variance": given.variance, "log_prob": given.log_prob(X)}
            for name, value in found.items():
                recorded = record[f"out/{quality}_{name}"].astype(np.float64)
                size = np.abs(recorded)
                signed = name == "log_prob" or recorded.min() < 0
                floor = SIGNED_FLOOR * size.max() if signed else 1e-30
                gap = np.abs(value.numpy() - recorded) / np.maximum(size, floor)
                errors[f"{quality}_{name}"] = float(gap.max())
    return _result(errors, max(errors.values()), len(errors))


def _model(record: Record, at: str) -> GPOVAE:
    qc = record["batch/qc" if "batch/qc" in record else "batch0/qc"]
    model = GPOVAE(from_record(json.loads(str(record["config"])), qc.shape[1]))
    _load(model, record, at)
    return model


def _load(module: torch.nn.Module, record: Record, at: str) -> None:
    state = {k[len(at) :]: _tensor(v) for k, v in record.items() if k.startswith(at)}
    module.load_state_dict(state, strict=True)


def _batch(record: Record, at: str) -> Batch:
    names = ("X", "D", "qc", "cfX", "deltaX")
    size = record.get(f"{at}library_size", record[f"{at}X"].sum(1))
    return Batch(*(_tensor(record[f"{at}{name}"]) for name in names), _tensor(size))


def _counts(record: Record) -> Counts:
    return Counts(_tensor(record["counts/D"]), _tensor(record["counts/qc"]))


def _noise(record: Record, at: str) -> tuple[PassNoise, PassNoise]:
    def of_pass(prefix: str) -> PassNoise:
        return PassNoise(*(_tensor(record[f"{prefix}{name}"]) for name in PassNoise._fields))

    return of_pass(at), of_pass(f"{at}cf_")


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(values))


def _relative(ours, recorded) -> float:
    return abs(float(ours) - float(recorded)) / max(abs(float(recorded)), 1e-12)


def _result(errors: dict[str, float], loss: float, n_values: int) -> Result:
    worst = max(errors, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))
    return Result(errors[worst] <= TOLERANCE, n_values, loss, errors[worst], worst)
