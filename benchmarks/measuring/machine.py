"""The machine that a measurement was taken on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "anndata",
    "jax",
    "numpy",
    "ott-jax",
    "POT",
    "scanpy",
    "scikit-image",
    "scipy",
    "torch",
)


def describe() -> dict[str, object]:
    """Return processor, memory, versions and commit, where they are known."""
    return {
        "processor": _after_colon("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(_after_colon("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "commit": commit(),
    }


def _after_colon(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        lines = []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith(key)]
    return found[0] if found else "0"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def commit(folder: Path = ROOT) -> str | None:
    """Return the commit of a checkout, with a + if files differ from it; None outside of git."""
    try:
        done = [
            subprocess.run(
                ["git", *command], cwd=folder, capture_output=True, text=True, check=True
            )
            for command in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return done[0].stdout.strip() + ("+" if done[1].stdout.strip() else "")
