"""The members of one program, trained at once or a single one: epochs until all have stopped."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.config import Config, TrainConfig
from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.epoch import EpochReport, run_epoch
from gpo_vae_jax.train.held_states import HeldStates, of_lane
from gpo_vae_jax.train.layout import MEMBERS, Layout
from gpo_vae_jax.train.members import varied_values
from gpo_vae_jax.train.program import compiled
from gpo_vae_jax.train.state import TrainState
from gpo_vae_jax.train.streamed import EpochData, Stream, run_streamed_epoch
from gpo_vae_jax.types import Array, Split


@dataclasses.dataclass(frozen=True)
class EpochEnd:
    """One finished epoch of one member, as `on_epoch` sees it."""

    member: int  # position among the members
    seed: int
    row: dict[str, float]  # the epoch's row of the history
    finished: bool  # whether it was the member's last
    best_loss: float  # validation loss of the best epoch so far
    best_epoch: int
    fetch: Callable[[], TrainState] = dataclasses.field(repr=False)

    @functools.cached_property
    def state(self) -> TrainState:
        """Return the state after the epoch, in host memory; it is copied when it is asked for.

        Raises:
          StateGoneError: it is asked for after the next epoch has begun, which takes its memory.
        """
        return self.fetch()


OnEpoch = Callable[[EpochEnd], bool | None]  # a true result stops the training


class DivergedError(TrainingError):
    """A loss became nan or infinite."""

    def __init__(self, text: str, member: int):
        super().__init__(text)
        self.member = member


@dataclasses.dataclass
class Running:
    """A member that is being trained."""

    config: Config
    state: TrainState
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)


def is_finished(state: TrainState, config: TrainConfig) -> bool:
    """Return whether a run has reached `max_epochs`, or waited `patience` epochs in vain."""
    return has_ended(int(state.epoch), int(state.best_epoch), config)


@partial(jax.jit, static_argnames=("spec", "n_rows", "layout"))
def run_epoch_of_members(
    states: TrainState,
    active: Array,
    train: Split,
    validation: Split,
    tables: dict[str, Array],
    values: dict[str, Array] | None = None,
    *,
    spec: Spec,
    n_rows: int | None = None,
    layout: Layout | None = None,
) -> tuple[TrainState, EpochReport]:
    """Train every active member for an epoch; the others keep their state.

    Args:
      states: of S members, stacked on the first axis.
      active: [S] bool.
      train, validation, tables: shared by all members (`run_epoch`).
      values: settings in which members differ, each [S], by path (`spec.VARIED`).
      spec, n_rows, layout: as in `run_epoch`.
    """

    def epoch(state: TrainState, values: dict[str, Array]) -> tuple[TrainState, EpochReport]:
        static = {"spec": spec, "n_rows": n_rows, "layout": layout}
        return run_epoch(state, train, validation, tables, values, **static)

    def keep(new: Array, old: Array) -> Array:
        return jnp.where(active.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    axis = None if layout is None else MEMBERS
    advanced, report = jax.vmap(epoch, spmd_axis_name=axis)(states, values or {})
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


class Program:
    """The epoch of some members, compiled, with the data that it reads."""

    def __init__(
        self,
        configs: Sequence[Config],
        data: EpochData | Stream,
        spec: Spec,
        n_rows: int | None,
        layout: Layout | None,
    ):
        self._data, self._layout = data, layout
        self._static = {"spec": spec, "n_rows": n_rows, "layout": layout}
        self._values = varied_values(configs)

    def put(self, states: Sequence[TrainState]) -> TrainState:
        """Return the states of members on the device, stacked where there are several.

        Each array has memory of its own, as an epoch takes it: they come from host memory.
        """
        stacked = len(states) > 1
        state = jax.device_get(states[0])
        if stacked:
            lanes = [*states, *[states[-1]] * self._empty(len(states))]
            state = jax.tree.map(lambda *leaves: np.stack(jax.device_get(leaves)), *lanes)
        if self._layout is None:
            return jax.device_put(state, jax.devices()[0])
        return self._layout.put_state(state, stacked=stacked)

    def __call__(
        self, state: TrainState, members: Sequence[int], active: np.ndarray
    ) -> tuple[TrainState, EpochReport]:
        """Run an epoch of some members, those of this program by position.

        It takes the memory of `state`, which nobody may read afterwards.
        """
        stacked = len(members) > 1
        at: Any = members[0]
        if stacked:
            empty = self._empty(len(members))
            at = [*members, *[members[-1]] * empty]
            active = np.concatenate([active, np.zeros(empty, bool)])
        values = self._put({name: numbers[at] for name, numbers in self._values.items()}, stacked)
        if stacked:
            arguments: tuple[Any, ...] = (state, self._put(active, True), *self._data, values)
            program = compiled(run_epoch_of_members, arguments, donate=(0,), **self._static)
            return program(*arguments)
        if isinstance(self._data, Stream):
            static: dict[str, Any] = {name: self._static[name] for name in ("spec", "n_rows")}
            return run_streamed_epoch(state, self._data, values, donate=True, **static)
        arguments = (state, *self._data, values)
        return compiled(run_epoch, arguments, donate=(0,), **self._static)(*arguments)

    def _empty(self, n_members: int) -> int:
        """Return the number of lanes that only fill the devices up; they are never active."""
        return 0 if self._layout is None else self._layout.lanes(n_members) - n_members

    def fetch(self, tree: Any) -> Any:
        """Return arrays in host memory."""
        return jax.device_get(tree) if self._layout is None else self._layout.fetch(tree)

    def _put(self, tree: Any, stacked: bool) -> Any:
        if self._layout is None:
            return jax.tree.map(jnp.asarray, tree)
        return self._layout.put_whole(tree, stacked=stacked)


def train_group(
    members: Sequence[Running],
    places: Sequence[int],
    lanes: Sequence[int],
    program: Program,
    tell: OnEpoch,
) -> bool:
    """Train some members of a program at once to their end; return whether `tell` stopped it.

    Args:
      members: all members of the program; the states of those that are trained are replaced.
      places: positions of the program's members among all members of the training.
      lanes: which of the program's members are trained.
      program: the epoch.
      tell: called after every epoch of every member.

    Raises:
      DivergedError: a loss is not finite.
    """
    runs, places = [members[i] for i in lanes], [places[i] for i in lanes]
    active = np.array([not is_finished(run.state, run.config.train) for run in runs])
    if not active.any():
        return False
    stacked = len(runs) > 1
    held = HeldStates(program, lanes, [run.state for run in runs])
    stopped = False
    while active.any() and not stopped:
        start = time.perf_counter()
        report, counters = held.advance(active)
        seconds = time.perf_counter() - start
        reports = {lane: of_lane(report, lane, stacked) for lane in np.flatnonzero(active).tolist()}
        for lane, found in reports.items():  # before anybody is told of the epoch
            bad = first_not_finite(found)
            if bad:
                held.go_back()
                _keep_states(runs, held)
                epoch = int(of_lane(counters, lane, stacked)[0]) - 1
                raise DivergedError(
                    f"seed {runs[lane].config.train.seed}, epoch {epoch}, {bad}; try a lower "
                    "train.learning_rate or train.gradient_clip_norm",
                    places[lane],
                )
        for lane, found in reports.items():
            run = runs[lane]
            epoch, step, best_loss, best_epoch = of_lane(counters, lane, stacked)
            run.rows.append(_row(int(epoch), int(step), found, seconds))
            active[lane] = not has_ended(int(epoch), int(best_epoch), run.config.train)
            end = EpochEnd(
                member=places[lane],
                seed=run.config.train.seed,
                row=run.rows[-1],
                finished=not active[lane],
                best_loss=float(best_loss),
                best_epoch=int(best_epoch),
                fetch=held.fetcher(lane),
            )
            stopped |= bool(tell(end))
    _keep_states(runs, held)
    return stopped


def _keep_states(runs: Sequence[Running], held: HeldStates) -> None:
    for run, state in zip(runs, held.fetch(), strict=True):
        run.state = state


def has_ended(epoch: int, best_epoch: int, config: TrainConfig) -> bool:
    """Return `is_finished` of a state with these numbers."""
    waited = epoch - 1 - best_epoch
    return epoch >= config.max_epochs or (epoch > 0 and waited >= config.patience)


def _row(epoch: int, step: int, report: EpochReport, seconds: float) -> dict[str, float]:
    terms = ["loss", *(name for name in report.steps if name not in ("loss", "gradient_norm"))]
    row: dict[str, float] = {"epoch": epoch - 1, "step": step, "seconds": round(seconds, 4)}
    row |= {f"train_{name}": float(report.steps[name].mean()) for name in terms}
    row |= {f"val_{name}": float(report.validation[name]) for name in terms}
    row["gradient_norm"] = float(report.steps["gradient_norm"].mean())
    row["gradient_norm_max"] = float(report.steps["gradient_norm"].max())
    return row | {name: float(value) for name, value in report.network.items()}
