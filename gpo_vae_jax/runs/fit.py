"""Training into run folders: `train.training.train_members`, with a writer for each member."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError, TrainingError
from gpo_vae_jax.evaluate.network.ensemble import ensemble_network, write_ensemble
from gpo_vae_jax.model.trained import Trained
from gpo_vae_jax.runs import processes
from gpo_vae_jax.runs.checkpoint_series import RunFingerprints
from gpo_vae_jax.runs.checkpoints import Checkpoints
from gpo_vae_jax.runs.member_folders import check_members_folder, folder_names, write_members
from gpo_vae_jax.runs.metrics_file import read_history
from gpo_vae_jax.runs.run_folder import RunFolder
from gpo_vae_jax.runs.run_lock import RunLock
from gpo_vae_jax.runs.signals import stop_on_signal
from gpo_vae_jax.runs.state_record import settings_fingerprint
from gpo_vae_jax.runs.watch import Watch, announce
from gpo_vae_jax.runs.writer import Writer, write_result
from gpo_vae_jax.train.chosen_sizes import with_sizes
from gpo_vae_jax.train.description import describe
from gpo_vae_jax.train.group import DivergedError, EpochEnd, OnEpoch, is_finished
from gpo_vae_jax.train.member_placement import placement
from gpo_vae_jax.train.members import members_of
from gpo_vae_jax.train.state import TrainState
from gpo_vae_jax.train.training import starting_states, train_members
from gpo_vae_jax.types import Dataset


def fit(
    dataset: Dataset,
    config: Config,
    workdir: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train the seed of the settings, and keep the run in a folder; see `fit_members`."""
    (trained,) = fit_members(
        dataset,
        [(config, Path(workdir))],
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        on_epoch=on_epoch,
    )
    return trained


def fit_seeds(
    dataset: Dataset,
    config: Config,
    workdir: str | Path,
    seeds: Sequence[int],
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train several seeds, each kept as a run in its folder seed0, seed1, ... under `workdir`.

    Every command opens `workdir` as the training of all seeds. Where all have finished, the network
    over all seeds is written there: ensemble_grn.csv and ensemble_edges.csv.

    Raises:
      TrainingError, ConfigError: as in `fit_members`.
    """
    folder, configs = Path(workdir), members_of(config, seeds)
    names = folder_names(configs)
    check_members_folder(folder, names)
    paths = [folder / name for name in names]
    for path in paths:
        RunFolder(path).check(resume=resume, overwrite=overwrite)
    if processes.is_primary():
        folder.mkdir(parents=True, exist_ok=True)
        write_members(folder, names)
    found = fit_members(
        dataset,
        list(zip(configs, paths, strict=True)),
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        on_epoch=on_epoch,
    )
    trained = dataclasses.replace(found[0], members=tuple(one.best for one in found))
    if processes.is_primary() and not trained.interrupted:
        write_ensemble(folder, ensemble_network(trained), trained.treatments, trained.n_perturbed)
    return trained


def fit_members(
    dataset: Dataset,
    members: Sequence[tuple[Config, Path]],
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    together: bool | None = None,
    on_epoch: OnEpoch | None = None,
) -> list[Trained]:
    """Train members on one copy of the data, and keep each as a run in a folder of its own.

    Writes config.json, run.json, metrics.csv, result.json and checkpoints/ into each folder, as if
    the member had been trained alone. SIGINT and SIGTERM end the training after the epoch in
    progress, with all states saved.

    Args:
      dataset: the data that all members share.
      members: settings and run folder of each.
      resume: continue the runs in the folders, exactly as if they had not stopped; a run that has
        not been started is started.
      overwrite: replace the runs in the folders.
      progress: whether a bar and what is trained are shown on standard error.
      together: as in `train_members`.
      on_epoch: called after every epoch of every member that is kept; a true result stops.

    Returns:
      Each member as a trained model, in the order of `members`.

    Raises:
      TrainingError: a loss is not finite (the last good state is kept), a folder does not fit or is
        in use, or a state cannot be written.
      ConfigError: settings and data do not fit together.
    """
    chosen = [with_sizes(config, dataset) for config, _ in members]
    configs = [config for config, _ in chosen]
    folders = [RunFolder(path) for _, path in members]
    if len({folder.path.absolute() for folder in folders}) < len(folders):
        raise ConfigError("two members have the same run folder; name one for each")
    for folder in folders:
        folder.check(resume=resume, overwrite=overwrite)
    memory = placement(dataset, configs, together).largest
    description = describe(configs[0], dataset)
    states = starting_states(dataset, configs)
    with contextlib.ExitStack() as stack:
        if processes.is_primary():
            for folder in folders:
                stack.enter_context(RunLock(folder.path))
                folder.check(resume=resume, overwrite=overwrite)  # nobody can change it now
        writers = [
            _opened(folder, config, {**description, "seed": config.train.seed}, state, resume)
            for folder, config, state in zip(folders, configs, states, strict=True)
        ]
        states = processes.from_primary([writer.start for writer in writers])
        if progress and processes.is_primary():
            announce(dataset, configs[0], states[0].current.params, chosen[0][1])
            print(memory.sentence, file=sys.stderr)
        watch = Watch(
            [config.train.max_epochs for config in configs],
            [int(state.epoch) for state in states],
            shown=progress and processes.is_primary(),
        )
        stop = stack.enter_context(stop_on_signal(ends_process=True))

        def listen(end: EpochEnd) -> bool:
            writer = writers[end.member]
            due, stops = processes.agreed(writer.is_due, stop.is_set())
            writer(end, save=due)
            watch(end)
            return bool(on_epoch and on_epoch(end)) or stops

        try:
            trained = train_members(
                dataset,
                configs,
                states=states,
                on_epoch=listen,
                together=together,
                description=description,
            )
        except DivergedError as error:
            raise TrainingError(
                f"{error}, in another folder. The state before this epoch is kept in "
                f"{folders[error.member].checkpoints / 'latest'}"
            ) from error
        finally:
            watch.close()
            for writer in writers:
                writer.close()
        return [
            _ended(one, folder, writer)
            for one, folder, writer in zip(trained, folders, writers, strict=True)
        ]


def _opened(
    folder: RunFolder, config: Config, description: dict[str, Any], state: TrainState, resume: bool
) -> Writer:
    """Claim a run folder, and return the writer of its run with the state that it starts from."""
    if not processes.is_primary():
        return Writer(None, None, config.train, state)
    run = RunFingerprints(settings_fingerprint(config), description["data"]["fingerprint"])
    checkpoints, record = Checkpoints(folder.checkpoints, run, writes=True), None
    if resume and folder.holds_a_run():
        folder.resume(config, description, checkpoints.last_record)
        state, record = checkpoints.restore_latest(state)
        if not is_finished(state, config.train):
            folder.forget_results()  # of the shorter run
    else:
        folder.start(config, description, overwrite=True)  # `check` has refused what may not be
    return Writer(folder, checkpoints, config.train, state, record.history if record else "")


def _ended(trained: Trained, folder: RunFolder, writer: Writer) -> Trained:
    """Write how a member ended, and return it with its whole history."""
    if not processes.is_primary():
        return trained
    history = read_history(folder.metrics, writer.history)
    member = dataclasses.replace(trained.best, history=history)
    write_result(folder, member)
    return dataclasses.replace(trained, members=(member,))
