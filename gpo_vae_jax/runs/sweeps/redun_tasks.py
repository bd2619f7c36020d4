"""The members of a sweep as redun tasks: on this machine, on AWS Batch or on Kubernetes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpo_vae_jax.errors import ConfigError, TrainingError
from gpo_vae_jax.runs.sweeps.sweep_folder import SweepFolder
from gpo_vae_jax.runs.sweeps.sweep_run import INTERRUPTED, run_member

NAMESPACE = "gpo_vae_jax"


def run_with_redun(
    folder: SweepFolder, *, executor: str = "default", ini: str = "", more: Sequence[str] = ()
) -> bool:
    """Run every member as a redun task; return whether any was interrupted.

    redun keeps in its database which members have ended, and does not run those again. A task
    starts `gpo-vae sweep --workdir=FOLDER --only=NAME`, so wherever it runs the folder and the data
    must be reachable under the same path.

    Args:
      folder: of the sweep.
      executor: a name of redun.ini, such as "batch" or "k8s"; "default" is this machine.
      ini: the folder of redun.ini; without it, one local process at a time and a database beside
        the sweep.
      more: further words of the command.

    Raises:
      ConfigError: redun is not installed.
      TrainingError: a task failed.
    """
    try:
        import redun
    except ImportError as error:
        raise ConfigError(
            "--executor needs redun, which is not installed; pip install 'gpo-vae-jax[sweep]'"
        ) from error
    sweep = folder.read()

    @redun.task(name="train_member", namespace=NAMESPACE, version="1", executor=executor)
    def train_member(workdir: str, name: str, settings: str, more: list[str]) -> int:
        del settings  # of the member: other settings are another task
        status = run_member(SweepFolder(workdir), name, more)
        if status not in (0, INTERRUPTED):
            raise TrainingError(f"{name} ended with status {status}; see logs/{name}.log")
        if status:  # not an end that may be kept
            raise _InterruptedError(name)
        return status

    scheduler = redun.Scheduler(config=_config(redun, folder.path, ini))
    scheduler.load()
    path = str(folder.path.absolute())
    calls = [
        train_member(path, name, repr(config), list(more))
        for name, config in zip(sweep.names(), sweep.configs(), strict=True)
    ]
    try:
        scheduler.run(calls)
    except _InterruptedError:
        return True
    return False


class _InterruptedError(TrainingError):
    """A member was told to stop."""


def _config(redun: Any, folder: Path, ini: str) -> Any:
    Config = redun.config.Config
    if ini:
        return Config(config_path=str(Path(ini) / "redun.ini"))
    database = folder.absolute() / "redun.db"
    return Config(
        {
            "backend": {"db_uri": f"sqlite:///{database}"},
            "executors.default": {"type": "local", "max_workers": "1", "mode": "thread"},
        }
    )
