"""The states of members between two epochs: each epoch takes the memory of the state before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.train.epoch import EpochReport
from gpo_vae_jax.train.state import TrainState


class StateGoneError(TrainingError):
    """The state of an epoch was asked for after the next one had begun."""


class Advances(Protocol):
    """An epoch of some members, and the way of their states to the device and back."""

    def put(self, states: Sequence[TrainState]) -> TrainState:
        """Return the states on the device, in memory that nobody else reads."""

    def fetch(self, tree: Any) -> Any:
        """Return arrays in host memory."""

    def __call__(
        self, state: TrainState, members: Sequence[int], active: np.ndarray
    ) -> tuple[TrainState, EpochReport]:
        """Run an epoch; `state` must not be read afterwards."""


class HeldStates:
    """The states of some members, on the device once.

    The last states that were fetched stay in host memory, at first those of the start. The state
    before the last epoch is computed again from there, should it be needed: training depends on
    state, data and settings only.
    """

    def __init__(self, program: Advances, lanes: Sequence[int], states: Sequence[TrainState]):
        """Put the states of the members `lanes` of a program on the device."""
        self._program, self._lanes = program, lanes
        self._kept = [jax.device_get(state) for state in states]
        self._since: list[np.ndarray] = []  # of each epoch after `_kept`: who advanced, [S] bool
        self._number = 0  # epochs that were run
        self._state: TrainState | None = program.put(self._kept)

    def advance(self, active: np.ndarray) -> tuple[EpochReport, tuple[np.ndarray, ...]]:
        """Run an epoch of the members that are `active`, [S] bool.

        Returns:
          In host memory, the report, and the numbers of epochs and steps, the best loss and its
          epoch; of all lanes, where there are several.
        """
        self._since.append(active.copy())
        state, report = self._run(active)
        counters = (state.epoch, state.step, state.best_loss, state.best_epoch)
        self._number += 1
        return self._program.fetch((report, counters))

    def go_back(self) -> None:
        """Compute the states before the last epoch again."""
        again, self._since = self._since[:-1], self._since[:-1]
        self._state = None  # its memory is free before the others come
        self._state = self._program.put(self._kept)
        for active in again:
            self._run(active)
        self._number -= 1

    def fetch(self) -> list[TrainState]:
        """Return the states of all lanes, in host memory; one copy serves all who ask for it."""
        if self._since:
            host = self._program.fetch(self._state)
            several = len(self._lanes) > 1
            self._kept = [of_lane(host, lane, several) for lane in range(len(self._lanes))]
            self._since = []
        return self._kept

    def fetcher(self, lane: int) -> Callable[[], TrainState]:
        """Return a function that fetches the present state of a lane.

        It raises StateGoneError when the next epoch has begun.
        """
        number = self._number

        def fetch() -> TrainState:
            if self._state is None or number != self._number:
                raise StateGoneError(
                    "the state of an epoch is there until the next one begins, which takes its "
                    "memory; ask for EpochEnd.state while on_epoch is called"
                )
            return self.fetch()[lane]

        return fetch

    def _run(self, active: np.ndarray) -> tuple[TrainState, EpochReport]:
        if self._state is None:
            raise StateGoneError("an epoch failed, and no state is left to go on from")
        state, self._state = self._state, None  # should this epoch fail, there is none
        state, report = self._program(state, self._lanes, active)
        self._state = state
        return state, report


def of_lane(tree: Any, lane: int, several: bool) -> Any:
    """Return what belongs to a lane; where there are several, it is the first axis of arrays."""
    return jax.tree.map(lambda leaf: leaf[lane], tree) if several else tree
