"""JSON files that carry a checksum of themselves, so that damage does not pass for a record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpo_vae_jax.errors import TrainingError
from gpo_vae_jax.files import write_text

CHECKSUM = "checksum"


class DamagedError(TrainingError):
    """A file of a run cannot be what was written."""


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with their checksum."""
    return {**values, CHECKSUM: checksum(values)}


def unsealed(values: Any, where: str) -> dict[str, Any]:
    """Return the values without their checksum; those of earlier versions have none.

    Raises:
      DamagedError: the checksum is not theirs.
    """
    if not isinstance(values, dict):
        raise DamagedError(f"{where} is damaged: it has no names and values")
    rest = {name: value for name, value in values.items() if name != CHECKSUM}
    if values.get(CHECKSUM, checksum(rest)) != checksum(rest):
        raise DamagedError(
            f"{where} is damaged, or was edited: its checksum does not fit. Restore it from a copy;"
            f' to keep what it says now, delete its line "{CHECKSUM}"'
        )
    return rest


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write values and their checksum as JSON, beside the place and renamed."""
    write_text(path, json.dumps(sealed(values), indent=1) + "\n")


def read_sealed(path: Path) -> dict[str, Any]:
    """Return what `write_sealed` wrote.

    Raises:
      DamagedError: the file is empty, is no JSON, or its checksum does not fit.
      OSError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text)
    except ValueError as error:  # text that is no UTF-8 is a ValueError, too
        size = path.stat().st_size
        what = "empty" if not size else f"no JSON ({size} bytes)"
        raise DamagedError(f"{path} is damaged: it is {what}; restore it from a copy") from error
    return unsealed(values, str(path))


def checksum(values: Mapping[str, Any]) -> str:
    """Return a short hash of JSON values, whatever their order."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
