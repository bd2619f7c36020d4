"""Training of the public face."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from gpo_vae_jax import config_io, presets
from gpo_vae_jax.api.inputs import Prepared, dataset
from gpo_vae_jax.compilation_cache import use_compilation_cache
from gpo_vae_jax.config import Config
from gpo_vae_jax.model.heads import head_of
from gpo_vae_jax.model.trained import Trained
from gpo_vae_jax.runs.watch import Watch, announce_sizes, stop_on_signal
from gpo_vae_jax.train.cells_in import device_memory
from gpo_vae_jax.train.chosen_sizes import with_sizes
from gpo_vae_jax.train.training import EpochEnd, OnEpoch
from gpo_vae_jax.train.training import train as train_dataset


def train(
    prepared: Prepared,
    config: Config | None = None,
    *,
    seeds: int | Sequence[int] | None = None,
    on_epoch: OnEpoch | None = None,
    together: bool | None = None,
    progress: bool = True,
) -> Trained:
    """Train GPO-VAE, on one seed or on several.

    Every seed trains until its validation loss has not improved for `config.train.patience`
    epochs. Interrupting (Ctrl-C, or the stop button of a notebook) ends the training after the
    epoch in progress and returns what was learned.

    Args:
      prepared: what `prepare` returned, a prepared h5ad file, or a `Dataset`.
      config: all settings; by default `presets.anndata()`.
      seeds: one member each; by default `config.train.seed`.
      on_epoch: called with an `EpochEnd` after each epoch of each seed; a true result stops.
      together: whether all seeds advance at once in one vmapped program; by default they do
        except on a CPU, where it gains nothing. The members are the same up to rounding.
      progress: whether a bar with rate, time left and losses is shown on standard error.

    Returns:
      The trained model: parameters, settings, names and the history of every epoch.

    Raises:
      ConfigError: a setting is out of range, or does not fit the data.
      DataError: the data is not as `prepare` leaves it.
      TrainingError: a loss is not finite.
    """
    use_compilation_cache()
    config = presets.anndata() if config is None else config
    config = config_io.from_dict(config_io.to_dict(config))
    head_of(config.model.likelihood_key)  # refused before the data is read
    arrays = dataset(prepared, config.data, progress=progress)
    config, chosen = with_sizes(config, arrays)
    if progress:
        announce_sizes(chosen)
        print(device_memory(arrays, config).sentence, file=sys.stderr)
    n_members = 1 if seeds is None or isinstance(seeds, (int, np.integer)) else len(seeds)
    watch = Watch(config, n_members=n_members, shown=progress)
    with stop_on_signal() as stop:

        def listen(end: EpochEnd) -> bool:
            watch(end)
            return bool(on_epoch and on_epoch(end)) or stop.is_set()

        try:
            return train_dataset(arrays, config, seeds=seeds, on_epoch=listen, together=together)
        finally:
            watch.close()
