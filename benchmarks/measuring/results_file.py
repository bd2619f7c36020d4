"""Result files: lists of entries, in which a new measurement replaces the one with its key."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import machine

FOLDER = Path(__file__).resolve().parents[1] / "results"


def folder_of(args: argparse.Namespace) -> Path | None:
    """Return the folder to write into; None for a quick run without --results."""
    return args.results or (None if args.quick else FOLDER)


def read(folder: Path | None, name: str) -> list[dict[str, Any]]:
    """Return the entries of a file; none if there is no such file."""
    path = (folder or FOLDER) / f"{name}.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    return found if isinstance(found, list) else [found]


def add(
    folder: Path | None,
    name: str,
    entry: dict[str, Any],
    key: Sequence[str] = (),
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """Print an entry with the machine it was measured on, and write it in the place of its key.

    Args:
      folder: None prints and writes nothing.
      key: the fields that identify the measurement; with none the file holds one entry.
      quiet: whether it is only written.
    """
    entry = {**entry, "machine": machine.describe()}
    if not quiet:
        print(json.dumps({name: entry}, indent=1), flush=True)
    if folder is not None:
        kept = [e for e in read(folder, name) if any(e.get(k) != entry[k] for k in key)]
        folder.mkdir(parents=True, exist_ok=True)
        entries = sorted([*kept, entry], key=lambda e: [str(e.get(k)) for k in key])
        (folder / f"{name}.json").write_text(json.dumps(entries, indent=1) + "\n")
    return entry


def find(entries: Sequence[dict[str, Any]], **wanted: Any) -> dict[str, Any] | None:
    """Return the first entry with these values, or None."""
    return next((e for e in entries if all(e.get(k) == v for k, v in wanted.items())), None)
