"""A whole training in memory: epochs until early stopping, for one member or for several.

Nothing is written and nothing is printed here. Whoever wants files, a progress bar or a way to
stop listens through `on_epoch`, as runs/fit.py does.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import pandas as pd

from gpo_vae_jax.config import Config
from gpo_vae_jax.config_io import differences
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.trained import Member, Trained
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.cells_in import as_kept, fields_left_out, source_of
from gpo_vae_jax.train.chosen_sizes import with_sizes
from gpo_vae_jax.train.description import describe
from gpo_vae_jax.train.fields_read import without
from gpo_vae_jax.train.group import EpochData, OnEpoch, Program, Running, is_finished, train_group
from gpo_vae_jax.train.layout import Layout
from gpo_vae_jax.train.member_placement import layout_of, placement
from gpo_vae_jax.train.members import Vary, check_members, members_of
from gpo_vae_jax.train.present import rows_of_batches
from gpo_vae_jax.train.starting_effects import starting_at, starting_effects
from gpo_vae_jax.train.state import TrainState, init_state
from gpo_vae_jax.train.streamed import Stream
from gpo_vae_jax.types import Dataset

_NOTHING: Vary = {}


def train(
    dataset: Dataset,
    config: Config,
    *,
    seeds: int | Sequence[int] | None = None,
    vary: Vary = _NOTHING,
    on_epoch: OnEpoch | None = None,
    states: Sequence[TrainState] | None = None,
    together: bool | None = None,
    description: dict[str, Any] | None = None,
) -> Trained:
    """Train every seed, under every combination of values in `vary`; see `train_members`.

    Args:
      dataset: the data.
      config: the settings that members share.
      seeds: one member each; by default the single `config.train.seed`.
      vary: values of further settings, by path: {"objective.penalty_coeff": (1.0, 5.0)}.
      on_epoch, states, together, description: as in `train_members`.

    Raises:
      ConfigError: settings and data do not fit together.
      DivergedError: a loss is not finite.
    """
    configs = members_of(config, seeds, vary)
    more: dict[str, Any] = {"on_epoch": on_epoch, "states": states, "together": together}
    return train_members(dataset, configs, description=description, **more)


def train_members(
    dataset: Dataset,
    configs: Sequence[Config],
    *,
    on_epoch: OnEpoch | None = None,
    states: Sequence[TrainState] | None = None,
    together: bool | None = None,
    description: dict[str, Any] | None = None,
) -> Trained:
    """Train until the validation loss has not improved for `patience` epochs, or `max_epochs`.

    The result depends on the data and the settings only. A member that has stopped is frozen while
    the others go on.

    Args:
      dataset: the data that all members share.
      configs: the settings of each member, with its seed.
      on_epoch: called after every epoch of every member. A true result stops the training.
      states: where each member starts when a training is continued; by default the initial state
        of its seed. The histories of the result then begin with the continued epochs.
      together: whether members that differ only in seed and numbers (`spec.VARIED`) advance at
        once, as one vmapped program. By default they do, except on a CPU, where that gains
        nothing, and where the device has no room for all: there they run one after the other.
        Either way a member is the run of its settings alone, up to rounding.
      description: what the result records of data and device; by default `describe`.

    Returns:
      A member for each configuration, with its best parameters and its history.

    Raises:
      ConfigError: settings and data do not fit together.
      DivergedError: a loss is not finite.
    """
    configs = [with_sizes(config, dataset)[0] for config in configs]
    check_members(configs)
    for config in configs:  # all refused before any work
        Spec.of(config, dataset.sizes)
    if states is None:
        states = starting_states(dataset, configs)
    runs = [Running(config, state) for config, state in zip(configs, states, strict=True)]
    programs, memory, together = placement(dataset, configs, together)
    tell = on_epoch or (lambda end: None)
    on_devices = functools.cache(partial(_data, dataset))
    for places, taken in zip(programs, memory, strict=True):
        members = [runs[i] for i in places]
        if all(is_finished(run.state, run.config.train) for run in members):
            continue
        layout = layout_of(dataset, members[0].config, len(members) if together else 1)
        data = on_devices(layout, taken.streamed, fields_left_out(dataset, members[0].config))
        program = _program(dataset, [run.config for run in members], data, layout)
        batches = [range(len(places))] if together else [[i] for i in range(len(places))]
        if any(train_group(members, places, lanes, program, tell) for lanes in batches):
            break
    return Trained(
        config=configs[0],
        sizes=dataset.sizes,
        treatments=tuple(dataset.treatments),
        genes=tuple(dataset.genes),
        members=tuple(_member(run, configs[0]) for run in runs),
        description=description or describe(configs[0], dataset),
    )


def initial_states(dataset: Dataset, config: Config, seeds: Sequence[int]) -> list[TrainState]:
    """Return the state from which each seed starts (raises ConfigError)."""
    return starting_states(dataset, members_of(config, seeds))


def starting_states(dataset: Dataset, configs: Sequence[Config]) -> list[TrainState]:
    """Return the state from which each member starts, in host memory (raises ConfigError)."""
    effects = functools.cache(partial(starting_effects, dataset))  # the same for all
    states = []
    for config in configs:
        state = init_state(
            config.train.seed,
            spec=Spec.of(config, dataset.sizes),
            mask_init=config.model.mask_init,
            knowledge=read_knowledge(config),
        )
        if config.model.effect_init != "random":
            state = starting_at(state, effects())
        states.append(jax.device_get(state))
    return states


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


def _program(
    dataset: Dataset, configs: Sequence[Config], data: EpochData | Stream, layout: Layout | None
) -> Program:
    """Return the epoch of members that share a program."""
    train, sizes = configs[0].train, dataset.sizes
    n_rows = rows_of_batches(dataset.splits["train"], train.batch_size, sizes.n_perturbed)
    return Program(configs, data, Spec.of(configs[0], sizes), n_rows, layout)


def _data(
    dataset: Dataset, layout: Layout | None, streamed: bool, unread: tuple[str, ...]
) -> EpochData | Stream:
    """Put what epochs read on the devices, or return where batches come from."""
    if layout is None:
        return source_of(dataset, streamed, unread)
    if streamed:
        raise ConfigError(
            "several devices need all cells in their memory: set config.data.cells_in='device', or "
            "use one device"
        )
    train, validation = (
        layout.put_split(as_kept(without(dataset.splits[name], unread)))
        for name in ("train", "val")
    )
    tables = {name: np.asarray(table, np.float32) for name, table in dataset.tables.items()}
    return EpochData(train, validation, layout.put_whole(tables))


def _member(run: Running, base: Config) -> Member:
    settings = {path: new for path, _, new in differences(base, run.config)}
    return Member(
        seed=settings.pop("train.seed", base.train.seed),
        params=run.state.best_params,
        best_loss=float(run.state.best_loss),
        best_epoch=int(run.state.best_epoch),
        n_epochs=int(run.state.epoch),
        history=pd.DataFrame(run.rows),
        interrupted=not is_finished(run.state, run.config.train),
        settings=settings,
    )
