"""The host's part of a run: one call per epoch, early stopping, records and checkpoints."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from gpo_vae_jax.config import Config, compiled_part
from gpo_vae_jax.errors import ConfigError, TrainingError
from gpo_vae_jax.files import write_text
from gpo_vae_jax.model import n_parameters
from gpo_vae_jax.runs.checkpoints import Checkpoints
from gpo_vae_jax.train.epoch import PARTS, EpochReport, n_batches
from gpo_vae_jax.train.present import rows_of_batches
from gpo_vae_jax.train.program import epoch_program
from gpo_vae_jax.runs.run_folder import MetricsFile, RunFolder
from gpo_vae_jax.train.state import TrainState, init_state
from gpo_vae_jax.types import Dataset, Params, Sizes


class FitResult(NamedTuple):
    """Hold how a run ended."""

    params: Params  # with the best validation loss
    best_loss: float
    best_epoch: int
    n_epochs: int
    interrupted: bool  # a signal ended it; resume to go on


def fit(
    dataset: Dataset,
    config: Config,
    workdir: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> FitResult:
    """Train until the validation loss has not improved for `patience` epochs, or `max_epochs`.

    Writes config.json, run.json, metrics.csv, result.json and checkpoints/ into `workdir`.
    SIGINT and SIGTERM end the run after the epoch in progress, its state saved.

    Args:
      resume: go on with the run in `workdir`, exactly as if it had not stopped.
      overwrite: replace the run in `workdir`.

    Raises:
      TrainingError: a loss is not finite (the last good state is kept), or the folder does not fit.
      ConfigError: settings and data do not fit together.
    """
    folder, sizes = RunFolder(workdir), dataset.sizes
    knowledge = _knowledge(config)
    state = init_state(config.train.seed, config=config, sizes=sizes, knowledge=knowledge)
    if resume and overwrite:
        raise ConfigError("resume and overwrite exclude each other: choose one")
    if resume:
        folder.go_on(config, dataset)
    else:
        folder.start(config, dataset, overwrite)
    checkpoints = Checkpoints(folder.checkpoints)
    state = jax.device_put(state, jax.devices()[0])
    if resume:
        state = checkpoints.restore_latest(state)
    metrics = MetricsFile(folder.metrics, int(state.epoch))
    data = jax.device_put((dataset.splits["train"], dataset.splits["val"]))
    tables = {k: jnp.asarray(v, jnp.float32) for k, v in dataset.tables.items()}
    if progress:
        _announce(dataset, config, state)

    settings = compiled_part(config)
    n_rows = rows_of_batches(dataset.splits["train"], config.train.batch_size, sizes.n_perturbed)
    saved, counted = time.monotonic(), False
    with _stop_on_signal() as stop, _bar(config, state, progress) as bar:
        while not stop.is_set() and not _finished(state, config):
            start = time.perf_counter()
            arguments = (state, *data, tables)
            new, report = epoch_program(arguments, settings, sizes, n_rows)(*arguments)
            report = jax.device_get(report)
            bad = first_not_finite(report)
            if bad:
                checkpoints.save_latest(state)
                checkpoints.close()
                raise TrainingError(
                    f"epoch {int(state.epoch)}, {bad}. The state before this epoch is kept in "
                    f"{folder.checkpoints / 'latest'}; to try a lower train.learning_rate or "
                    "train.gradient_clip_norm, start anew in another --workdir"
                )
            metrics.append(_row(new, report, time.perf_counter() - start))
            every = config.train.checkpoint_every_steps
            if int(new.step) // every > int(state.step) // every:
                checkpoints.save_step(new)
            state = new
            if time.monotonic() - saved >= config.train.save_every_seconds:
                checkpoints.save_latest(state)
                saved = time.monotonic()
            bar.set_postfix_str(
                f"val {report.validation['loss']:.4f}, best {float(state.best_loss):.4f} "
                f"in epoch {int(state.best_epoch)}"
            )
            if progress and not counted:  # the first epoch compiled: leave it out of the rate
                bar.unpause()
                bar.initial += 1
                counted = True
            bar.update()
        interrupted = stop.is_set() and not _finished(state, config)
        checkpoints.save_latest(state)
        checkpoints.close()
    result = FitResult(
        params=state.best_params,
        best_loss=float(state.best_loss),
        best_epoch=int(state.best_epoch),
        n_epochs=int(state.epoch),
        interrupted=interrupted,
    )
    summary = {k: v for k, v in result._asdict().items() if k != "params"}
    if not np.isfinite(result.best_loss):  # ended before the first epoch did
        summary |= {"best_loss": None, "best_epoch": None}
    write_text(folder.result, json.dumps(summary, indent=1) + "\n")
    return result


def load_best(workdir: str | Path) -> tuple[Params, Config, dict]:
    """Read a run's best parameters, its settings and its description (raises TrainingError)."""
    folder = RunFolder(workdir)
    config, run = folder.read_config(), folder.read_run()
    sizes = Sizes(**run["sizes"])
    shapes = jax.eval_shape(lambda: init_state(0, config=config, sizes=sizes).best_params)
    like = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    checkpoints = Checkpoints(folder.checkpoints)
    params = checkpoints.restore_best(like)
    checkpoints.close()
    return params, config, run


def first_not_finite(report: EpochReport) -> str | None:
    """Name the first step and term of an epoch that is not finite; None if all are."""
    steps = {name: np.asarray(values) for name, values in report.steps.items()}
    wrong = np.array([~np.isfinite(values) for values in steps.values()])
    if wrong.any():
        step = int(np.argmax(wrong.any(axis=0)))
        names = [name for name, values in steps.items() if not np.isfinite(values[step])]
        terms = [name for name in names if name != "loss"] or names
        return (
            f"step {step} of the epoch: {', '.join(terms)} is not finite ({steps[terms[0]][step]})"
        )
    names = [name for name, value in report.validation.items() if not np.isfinite(value)]
    terms = [name for name in names if name != "loss"] or names
    return f"validation: {', '.join(terms)} is not finite" if terms else None


def _finished(state: TrainState, config: Config) -> bool:
    epoch, t = int(state.epoch), config.train
    waited = epoch - 1 - int(state.best_epoch)
    return epoch >= t.max_epochs or (epoch > 0 and waited >= t.patience)


def _row(state: TrainState, report: EpochReport, seconds: float) -> dict[str, float]:
    row = {"epoch": int(state.epoch) - 1, "step": int(state.step), "seconds": round(seconds, 4)}
    row |= {f"train_{name}": float(report.steps[name].mean()) for name in PARTS}
    row |= {f"val_{name}": float(report.validation[name]) for name in PARTS}
    row["gradient_norm"] = float(report.steps["gradient_norm"].mean())
    row["gradient_norm_max"] = float(report.steps["gradient_norm"].max())
    return row | {name: float(value) for name, value in report.network.items()}


def _knowledge(config: Config) -> np.ndarray | None:
    path = config.model.knowledge_path
    if not path:
        return None
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"config.model.knowledge_path={path!r} is no readable .npy file: {error}"
        ) from error


def _announce(dataset: Dataset, config: Config, state: TrainState) -> None:
    cells = {name: len(split.cells.weight) for name, split in dataset.splits.items()}
    steps = n_batches(cells["train"], config.train.batch_size)
    device = jax.devices()[0]
    print(
        f"{config.name}: {cells['train']} training cells, {len(dataset.genes)} genes, "
        f"{len(dataset.treatments)} treatments ({dataset.n_perturbed} perturbed)\n"
        f"{n_parameters(state.current.params):,} parameters, {steps} steps an epoch on "
        f"{device.platform} ({device.device_kind}); the first epoch compiles",
        file=sys.stderr,
    )


def _bar(config: Config, state: TrainState, progress: bool) -> tqdm:
    return tqdm(
        total=config.train.max_epochs,
        initial=int(state.epoch),
        unit="epoch",
        disable=not progress,
        mininterval=0.2 if sys.stderr.isatty() else 15.0,
        miniters=1,
        smoothing=0,
        dynamic_ncols=True,
    )


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into an event; the second acts as usual."""
    stop, before = threading.Event(), {}

    def handle(number, frame):
        del frame
        stop.set()
        signal.signal(number, before[number])
        print("\nstopping after this epoch; again to stop at once", file=sys.stderr)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.getsignal(number) or signal.SIG_DFL
            signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
