"""A whole training in memory: epochs until early stopping, for one seed or for several.

Nothing is written and nothing is printed here. Whoever wants files, a progress bar or a way to
stop listens through `on_epoch`, as runs/fit.py does.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from gpo_vae_jax.config import Config, TrainConfig
from gpo_vae_jax.errors import ConfigError, TrainingError
from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.model.trained import Member, Trained
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.cells_in import OnDevice, source_of
from gpo_vae_jax.train.chosen_sizes import with_sizes
from gpo_vae_jax.train.description import describe
from gpo_vae_jax.train.epoch import EpochReport, run_epoch
from gpo_vae_jax.train.present import rows_of_batches
from gpo_vae_jax.train.program import compiled
from gpo_vae_jax.train.starting_effects import starting_at, starting_effects
from gpo_vae_jax.train.state import TrainState, init_state
from gpo_vae_jax.train.streamed import Stream, run_streamed_epoch
from gpo_vae_jax.types import Array, Dataset, Split


class EpochEnd(NamedTuple):
    """One finished epoch of one member, as `on_epoch` sees it."""

    member: int  # position among the seeds
    seed: int
    state: TrainState  # after the epoch, on the device
    row: dict[str, float]  # the epoch's row of the history
    finished: bool  # whether it was the member's last


OnEpoch = Callable[[EpochEnd], bool | None]  # a true result stops the training


class DivergedError(TrainingError):
    """A loss became nan or infinite."""

    def __init__(self, text: str, member: int):
        super().__init__(text)
        self.member = member


def train(
    dataset: Dataset,
    config: Config,
    *,
    seeds: int | Sequence[int] | None = None,
    on_epoch: OnEpoch | None = None,
    states: Sequence[TrainState] | None = None,
    together: bool | None = None,
    description: dict[str, Any] | None = None,
) -> Trained:
    """Train until the validation loss has not improved for `patience` epochs, or `max_epochs`.

    The result depends on the data, the settings and the seeds only. A member that has stopped is
    frozen while the others go on.

    Args:
      seeds: one member each; by default the single `config.train.seed`.
      on_epoch: called after every epoch of every member. A true result stops the training.
      states: where each member starts when a training is continued; by default the initial state
        of its seed. The histories of the result then begin with the continued epochs.
      together: whether all members advance at once, as one vmapped program. By default they do
        except on a CPU, where that gains nothing and they run one after the other. Either way a
        member is the run of its seed alone, up to rounding.
      description: what the result records of data and device; by default `describe`.

    Returns:
      A member for each seed, with its best parameters and its history.

    Raises:
      ConfigError: settings and data do not fit together.
      DivergedError: a loss is not finite.
    """
    chosen = _checked_seeds(config.train.seed if seeds is None else seeds)
    config, _ = with_sizes(config, dataset)
    spec = Spec.of(config, dataset.sizes)
    if states is None:
        states = initial_states(dataset, config, chosen)
    device = jax.devices()[0]
    runs = [
        _Running(seed, jax.device_put(state, device))
        for seed, state in zip(chosen, states, strict=True)
    ]
    data = source_of(dataset, config, states[0].current.params)
    n_rows = rows_of_batches(
        dataset.splits["train"], config.train.batch_size, dataset.sizes.n_perturbed
    )
    if together and isinstance(data, Stream):
        raise ConfigError(
            "together=True needs all cells in the memory of the device: each member has batches of "
            "its own; set together=False, or config.data.cells_in='device'"
        )
    together = not on_cpu() and not isinstance(data, Stream) if together is None else together
    tell = on_epoch or (lambda end: None)
    groups = [range(len(runs))] if together else [[i] for i in range(len(runs))]
    for group in groups:
        if _train_group(runs, group, data, spec, n_rows, config.train, tell):
            break
    return Trained(
        config=dataclasses.replace(config, train=dataclasses.replace(config.train, seed=chosen[0])),
        sizes=dataset.sizes,
        treatments=tuple(dataset.treatments),
        genes=tuple(dataset.genes),
        members=tuple(_member(run, config.train) for run in runs),
        description=description or describe(config, dataset),
    )


def initial_states(dataset: Dataset, config: Config, seeds: Sequence[int]) -> list[TrainState]:
    """Return the state from which each seed starts (raises ConfigError)."""
    spec, knowledge = Spec.of(config, dataset.sizes), read_knowledge(config)
    init = partial(init_state, spec=spec, mask_init=config.model.mask_init, knowledge=knowledge)
    states = [init(seed) for seed in seeds]
    if config.model.effect_init == "random":
        return states
    effects = starting_effects(dataset)
    return [starting_at(state, effects) for state in states]


def read_knowledge(config: Config) -> np.ndarray | None:
    """Return the prior probabilities of edges, [T, T], that the settings name (ConfigError)."""
    path = config.model.knowledge_path
    if not path:
        return None
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"config.model.knowledge_path={path!r} is not a readable .npy file: {error}"
        ) from error


def is_finished(state: TrainState, config: TrainConfig) -> bool:
    """Return whether a run has reached `max_epochs`, or waited `patience` epochs in vain."""
    epoch = int(state.epoch)
    waited = epoch - 1 - int(state.best_epoch)
    return epoch >= config.max_epochs or (epoch > 0 and waited >= config.patience)


@partial(jax.jit, static_argnames=("spec", "n_rows"))
def run_epoch_of_members(
    states: TrainState,
    active: Array,
    train: Split,
    validation: Split,
    tables: dict[str, Array],
    *,
    spec: Spec,
    n_rows: int | None = None,
) -> tuple[TrainState, EpochReport]:
    """Train every active member for an epoch; the others keep their state.

    Args:
      states: of S members, stacked on the first axis.
      active: [S] bool.
    """

    def epoch(state: TrainState) -> tuple[TrainState, EpochReport]:
        return run_epoch(state, train, validation, tables, spec=spec, n_rows=n_rows)

    def keep(new: Array, old: Array) -> Array:
        return jnp.where(active.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    advanced, report = jax.vmap(epoch)(states)
    return jax.tree.map(keep, advanced, states), report


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


@dataclasses.dataclass
class _Running:
    """A member that is being trained."""

    seed: int
    state: TrainState
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)


def _train_group(
    runs: list[_Running],
    group: Sequence[int],
    data: OnDevice | Stream,
    spec: Spec,
    n_rows: int | None,
    config: TrainConfig,
    tell: OnEpoch,
) -> bool:
    """Train the members of `group` at once to their end; return whether `tell` stopped it."""
    active = np.array([not is_finished(runs[i].state, config) for i in group])
    stacked = len(group) > 1
    if stacked:
        state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(runs[i].state for i in group))
    else:
        state = runs[group[0]].state
    while active.any():
        start = time.perf_counter()
        if stacked:
            arguments: tuple[Any, ...] = (state, jnp.asarray(active), *data)
            program = compiled(run_epoch_of_members, arguments, spec=spec, n_rows=n_rows)
            state, report = program(*arguments)
        elif isinstance(data, Stream):
            state, report = run_streamed_epoch(state, data, spec=spec, n_rows=n_rows)
        else:
            arguments = (state, *data)
            program = compiled(run_epoch, arguments, spec=spec, n_rows=n_rows)
            state, report = program(*arguments)
        report = jax.device_get(report)
        seconds = time.perf_counter() - start
        stopped = False
        for lane in np.flatnonzero(active).tolist():
            run, member = runs[group[lane]], group[lane]
            of_lane = jax.tree.map(lambda leaf, at=lane: leaf[at], report) if stacked else report
            bad = first_not_finite(of_lane)
            if bad:
                raise DivergedError(
                    f"seed {run.seed}, epoch {int(run.state.epoch)}, {bad}; try a lower "
                    "train.learning_rate or train.gradient_clip_norm",
                    member,
                )
            run.state = jax.tree.map(lambda leaf, at=lane: leaf[at], state) if stacked else state
            run.rows.append(_row(run.state, of_lane, seconds))
            active[lane] = not is_finished(run.state, config)
            end = EpochEnd(member, run.seed, run.state, run.rows[-1], not active[lane])
            stopped |= bool(tell(end))
        if stopped:
            return True
    return False


def _member(run: _Running, config: TrainConfig) -> Member:
    return Member(
        seed=run.seed,
        params=run.state.best_params,
        best_loss=float(run.state.best_loss),
        best_epoch=int(run.state.best_epoch),
        n_epochs=int(run.state.epoch),
        history=pd.DataFrame(run.rows),
        interrupted=not is_finished(run.state, config),
    )


def _row(state: TrainState, report: EpochReport, seconds: float) -> dict[str, float]:
    terms = ["loss", *(name for name in report.steps if name not in ("loss", "gradient_norm"))]
    row = {"epoch": int(state.epoch) - 1, "step": int(state.step), "seconds": round(seconds, 4)}
    row |= {f"train_{name}": float(report.steps[name].mean()) for name in terms}
    row |= {f"val_{name}": float(report.validation[name]) for name in terms}
    row["gradient_norm"] = float(report.steps["gradient_norm"].mean())
    row["gradient_norm_max"] = float(report.steps["gradient_norm"].max())
    return row | {name: float(value) for name, value in report.network.items()}


def _checked_seeds(seeds: int | Sequence[int]) -> list[int]:
    chosen = [seeds] if isinstance(seeds, (int, np.integer)) else list(seeds)
    if not chosen:
        raise ConfigError("seeds is empty: name at least one, such as seeds=0 or seeds=(0, 1, 2)")
    for seed in chosen:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise ConfigError(f"seeds: {seed!r} is not a whole number")
        if not 0 <= seed < 2**32:
            raise ConfigError(f"seeds: {seed} must be between 0 and {2**32 - 1}")
    twice = sorted({seed for seed in chosen if chosen.count(seed) > 1})
    if twice:
        raise ConfigError(f"seeds: {twice[0]} is named twice; each member needs a seed of its own")
    return [int(seed) for seed in chosen]
