"""What a person watches of a training, and the signals by which a person stops it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import jax

from gpo_vae_jax import progress
from gpo_vae_jax.config import Config
from gpo_vae_jax.model import n_parameters
from gpo_vae_jax.train.epoch import n_batches
from gpo_vae_jax.train.group import EpochEnd
from gpo_vae_jax.types import Dataset, Params

_NOTHING: Mapping[str, int] = {}


class Watch:
    """A progress bar over the epochs of one or several members; an `on_epoch` of `train`."""

    def __init__(self, config: Config, *, first_epoch: int = 0, n_members: int = 1, shown: bool):
        self._many = n_members > 1
        self._max_epochs = config.train.max_epochs
        total = n_members * self._max_epochs
        self._bar = progress.bar(total, "epoch", shown=shown, initial=first_epoch)
        self._epochs = [first_epoch] * n_members
        self._compiled = False

    def __call__(self, end: EpochEnd) -> None:
        """Advance the bar; epochs that early stopping saves are taken off its total."""
        seed = f"seed {end.seed}: " if self._many else ""
        self._bar.set_postfix_str(
            f"{seed}val {end.row['val_loss']:.4f}, best {end.best_loss:.4f} "
            f"in epoch {end.best_epoch}",
            refresh=False,
        )
        # the first epoch compiled: leave it out of the rate
        if not self._compiled and not self._bar.disable:
            self._bar.unpause()
            self._bar.initial += 1
            self._compiled = True
        self._epochs[end.member] += 1
        if end.finished and self._many:
            self._bar.total -= self._max_epochs - self._epochs[end.member]
        self._bar.update()

    def close(self) -> None:
        """End the bar's line."""
        self._bar.close()


def announce(
    dataset: Dataset, config: Config, params: Params, chosen: Mapping[str, int] = _NOTHING
) -> None:
    """Say on standard error what is going to be trained, on what, and which sizes were chosen."""
    cells = len(dataset.splits["train"].cells.weight)
    steps = n_batches(cells, config.train.batch_size)
    device = jax.devices()[0]
    print(
        f"{config.name}: {cells:,} training cells, {len(dataset.genes):,} genes, "
        f"{len(dataset.treatments)} treatments ({dataset.n_perturbed} perturbed)\n"
        f"{n_parameters(params):,} parameters, {steps} steps an epoch on "
        f"{device.platform} ({device.device_kind}); the first epoch compiles",
        file=sys.stderr,
    )
    announce_sizes(chosen)


def announce_sizes(chosen: Mapping[str, int]) -> None:
    """Say on standard error which sizes were chosen from the data, if any were."""
    if chosen:
        sizes = ", ".join(f"{name}={value}" for name, value in chosen.items())
        print(f"chosen from the data: {sizes}", file=sys.stderr)


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into an event; the second acts as usual."""
    stop, before = threading.Event(), {}

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        stop.set()
        signal.signal(number, before[number])
        print("\nstopping after this epoch; press again to stop at once", file=sys.stderr)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.getsignal(number) or signal.SIG_DFL
            signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
