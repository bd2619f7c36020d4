"""What a person watches of a training."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import jax

from gpo_vae_jax import progress
from gpo_vae_jax.config import Config
from gpo_vae_jax.model import n_parameters
from gpo_vae_jax.train.batches import n_batches
from gpo_vae_jax.train.group import EpochEnd
from gpo_vae_jax.types import Dataset, Params

_NOTHING: Mapping[str, int] = {}


class Watch:
    """A progress bar over the epochs of one or several members; an `on_epoch` of `train`."""

    def __init__(self, max_epochs: Sequence[int], first_epochs: Sequence[int], *, shown: bool):
        self._many = len(max_epochs) > 1
        self._max_epochs, self._epochs = list(max_epochs), list(first_epochs)
        self._bar = progress.bar(sum(max_epochs), "epoch", shown=shown, initial=sum(first_epochs))
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
            self._bar.total -= self._max_epochs[end.member] - self._epochs[end.member]
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
