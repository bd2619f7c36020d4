"""The command that repeats an evaluation, with every option that was used."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from gpo_vae_jax.config import EvaluateConfig


def repeat_command(summary: dict[str, Any]) -> str:
    """Return the shell command that repeats an evaluation, or Python where there was no folder.

    Settings at their default are left out.
    """
    run, changed = summary.get("run") or {}, changed_settings(summary.get("settings") or {})
    options = run.get("options") or {}
    networks = list(options.get("networks") or ())
    if not run.get("workdir"):
        return _in_python(networks, changed)
    words = ["gpo-vae", "evaluate", f"--workdir={run['workdir']}"]
    words += [f"--data={options['data_path']}"] if options.get("data_path") else []
    words += [f"--output={options['output']}"] if options.get("output") else []
    words += [f"--evaluate.{name}={_word(value)}" for name, value in changed.items()]
    words += ["--networks", *map(str, networks)] if networks else []
    return " ".join(shlex.quote(_one_line(word)) for word in words)


def changed_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an evaluation that are not at their default."""
    defaults = dataclasses.asdict(EvaluateConfig())
    return {
        name: value
        for name, value in settings.items()
        if name in defaults and _plain(value) != _plain(defaults[name])
    }


def _in_python(networks: Sequence[str], changed: dict[str, Any]) -> str:
    options = [f"networks={networks!r}"] if networks else []
    options += [f"{name}={_plain(value)!r}" for name, value in changed.items()]
    arguments = ", ".join(["trained, prepared", *options])
    return (
        "import gpo_vae_jax as gv\n\n"
        f"result = gv.evaluate({arguments})\n"
        'gv.report(result, "report")'
    )


def _word(value: Any) -> str:
    """Return a value as the command line takes it: a list as 20,50."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) if len(value) > 1 else str(tuple(value))
    return str(value)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_line(word: str) -> str:
    return " ".join(word.split())
