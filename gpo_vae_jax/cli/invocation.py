"""How and when the user started the program: messages name the command that this user has."""

from __future__ import annotations

import dataclasses
import re
import time

from gpo_vae_jax.config import Config, EvaluateConfig

COMMANDS = {  # name: what it does, in the order of a project
    "download": "fetch a published data set",
    "prepare": "turn raw counts (.h5ad) into a prepared file",
    "train": "train on a prepared file, or on simulated cells",
    "sweep": "train a grid of settings and seeds; one table",
    "evaluate": "measure a run; write its report, effects and network",
    "predict": "predict cells under perturbations, seen or not",
    "export-grn": "write the learned network as tables and as a graph",
    "import-original": "make a run of a checkpoint of the PyTorch original",
    "export-original": "write a run as a checkpoint of the original",
    "compare": "put evaluated runs side by side",
    "parity": "check recorded numbers of the PyTorch original",
    "settings": "list every setting with its default and meaning",
}
_SETTINGS = (Config, EvaluateConfig)
_NO_SCRIPT = ("settings", "sweep", "import-original", "export-original")
_SCRIPTS = {"download": "download_datasets", "export-grn": "export_grn"}  # named otherwise


@dataclasses.dataclass(frozen=True)
class Invocation:
    """The words that start the program, and when it was started."""

    start: str = "gpo-vae"
    scripts: str = ""  # the folder of the script that started it; empty: no script did
    began: float = dataclasses.field(default_factory=time.perf_counter)  # seconds

    def command(self, name: str) -> str:
        """Return how this user starts a command: "gpo-vae train", "python scripts/train.py"."""
        if self.scripts and name not in _NO_SCRIPT:
            return f"python {self.scripts}/{_SCRIPTS.get(name, name)}.py"
        return f"{'python -m gpo_vae_jax' if self.scripts else self.start} {name}"

    def spelled(self, text: str) -> str:
        """Return a message of the library as this user types commands and settings.

        "gpo-vae train" becomes what starts training here, "config.train.seed" --config.train.seed.
        """
        command = rf"\bgpo-vae ({'|'.join(COMMANDS)})\b"
        text = re.sub(command, lambda found: self.command(found[1]), text)
        groups, fields = ("|".join(f.name for f in dataclasses.fields(k)) for k in _SETTINGS)
        setting = rf"(?<![-\w./])(config\.(?:{groups})\.|evaluate\.(?:{fields})\b)"
        return re.sub(setting, r"--\1", text)

    def total_time(self) -> str:
        """Return the time since the start in words: "total time 1 min 5 s"."""
        seconds = time.perf_counter() - self.began
        if seconds < 60:
            return f"total time {seconds:.1f} s"
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"total time {f'{hours} h ' if hours else ''}{minutes} min {seconds} s"
