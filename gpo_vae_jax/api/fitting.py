"""Training of the public face."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gpo_vae_jax import config_io, presets
from gpo_vae_jax.api.inputs import Prepared, dataset
from gpo_vae_jax.compilation_cache import use_compilation_cache
from gpo_vae_jax.config import Config
from gpo_vae_jax.model.heads import head_of
from gpo_vae_jax.model.trained import Trained
from gpo_vae_jax.runs.signals import stop_on_signal
from gpo_vae_jax.runs.watch import Watch, announce_sizes
from gpo_vae_jax.train.chosen_sizes import with_sizes
from gpo_vae_jax.train.group import EpochEnd, OnEpoch
from gpo_vae_jax.train.member_placement import placement
from gpo_vae_jax.train.members import Vary, members_of
from gpo_vae_jax.train.training import train_members

_NOTHING: Vary = {}


def train(
    prepared: Prepared,
    config: Config | None = None,
    *,
    seeds: int | Sequence[int] | None = None,
    vary: Vary = _NOTHING,
    on_epoch: OnEpoch | None = None,
    together: bool | None = None,
    progress: bool = True,
) -> Trained:
    """Train GPO-VAE, on one seed or on several, under one setting or several.

    Every seed trains until its validation loss has not improved for `config.train.patience`
    epochs. Interrupting (Ctrl-C, or the stop button of a notebook) ends the training after the
    epoch in progress and returns what was learned.

    Args:
      prepared: what `prepare` returned, a prepared h5ad file, or a `Dataset`.
      config: all settings; by default `presets.anndata()`.
      seeds: one member each; by default `config.train.seed`.
      vary: values of further settings by path, every combination of which is trained with every
        seed: {"objective.penalty_coeff": (1.0, 5.0, 10.0)}. Members that differ in numbers only
        share one program.
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
    members = members_of(config, seeds, vary)
    arrays = dataset(prepared, config.data, progress=progress)
    members = [with_sizes(member, arrays)[0] for member in members]
    if progress:
        announce_sizes(with_sizes(config, arrays)[1])
        print(placement(arrays, members, together).largest.sentence, file=sys.stderr)
    watch = Watch(
        [member.train.max_epochs for member in members], [0] * len(members), shown=progress
    )
    with stop_on_signal() as stop:

        def listen(end: EpochEnd) -> bool:
            watch(end)
            return bool(on_epoch and on_epoch(end)) or stop.is_set()

        try:
            return train_members(arrays, members, on_epoch=listen, together=together)
        finally:
            watch.close()
