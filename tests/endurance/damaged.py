"""Damage every file of a run in turn, then read the run and resume it; count how it went.

    python -m tests.endurance.damaged [--flips 3] [--only NAME]

The result must be exact (as without damage), fell back (as without damage, after a note), or
refused (an error of one line). It may never be silent (other numbers) or a traceback.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import io
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gpo_vae_jax.errors import ConfigError, DataError, TrainingError
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.saved import load
from tests.tiny import tiny_dataset
from tests.train.conftest import TINY

EXACT, FELL_BACK, REFUSED = "exact", "fell back", "refused"
SILENT, TRACEBACK = "SILENT", "TRACEBACK"
EPOCHS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Damage, count, and return 1 if anything was silent or ended in a traceback."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=3, help="flipped bits tried in every file")
    parser.add_argument("--only", default="", help="part of the names of files to damage")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for what, outcome, said in outcomes(Path(folder), args.flips, args.only, args.seed):
            counts[what.split(":")[0], outcome] += 1
            if outcome in (SILENT, TRACEBACK):
                print(f"{outcome}: {what}\n  {said}", flush=True)
    for use in ("read", "resume"):
        row = ", ".join(f"{counts[use, o]} {o}" for o in (EXACT, FELL_BACK, REFUSED))
        print(f"{use}: {row}; {counts[use, SILENT]} silent, {counts[use, TRACEBACK]} tracebacks")
    return int(any(outcome in (SILENT, TRACEBACK) for _, outcome in counts))


def outcomes(
    folder: Path, flips: int, only: str = "", seed: int = 0
) -> Iterator[tuple[str, str, str]]:
    """Yield what was damaged and how the run was used, how that went, and what was said."""
    dataset = tiny_dataset()
    train_(dataset, folder / "whole", EPOCHS)
    longer = shutil.copytree(folder / "whole", folder / "longer")
    train_(dataset, longer, EPOCHS + 2, resume=True)
    expected = {"read": facts(folder / "whole"), "resume": facts(longer)}
    files = sorted(
        p.relative_to(folder / "whole") for p in (folder / "whole").rglob("*") if p.is_file()
    )
    for file in files:
        if only not in str(file):
            continue
        for name, damage in damages(random.Random(f"{seed} {file}"), flips):
            for use in ("read", "resume"):
                copy = shutil.copytree(folder / "whole", folder / "copy")
                damage(copy / file)
                goes_on = partial(train_, dataset, copy, EPOCHS + 2, resume=True)
                used = goes_on if use == "resume" else (lambda: None)
                outcome, said = judged(used, copy, expected[use])
                yield f"{use}: {name} {file}", outcome, said
                shutil.rmtree(copy)


def train_(dataset: Any, folder: Path, epochs: int, **how: Any) -> None:
    """Train the tiny model into a folder, every epoch saved."""
    train = dataclasses.replace(
        TINY.train, max_epochs=epochs, patience=1000, save_every_seconds=0.0,
        checkpoint_every_steps=5,
    )  # fmt: skip
    fit(dataset, dataclasses.replace(TINY, train=train), folder, progress=False, **how)


def facts(folder: Path) -> list[Any]:
    """Return all that a reader of a run learns."""
    trained = load(folder)
    best = trained.best
    history = best.history.drop(columns="seconds")
    numbers = (best.best_loss, best.best_epoch, best.n_epochs, best.interrupted, best.seed)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(best.params)]
    about = (trained.config, trained.sizes, trained.treatments, trained.genes)
    return [*leaves, history.to_numpy(float), list(history), numbers, about]


def judged(used: Callable[[], Any], folder: Path, expected: list[Any]) -> tuple[str, str]:
    """Use a run, and return how it went and what was said."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            used()
            found = facts(folder)
    except (TrainingError, ConfigError, DataError, OSError) as error:
        return REFUSED, str(error)
    except Exception:
        return TRACEBACK, traceback.format_exc(limit=-3)
    same = len(found) == len(expected) and all(map(equal, found, expected))
    if not same:
        return SILENT, said.getvalue()
    return (FELL_BACK if said.getvalue() else EXACT), said.getvalue()


def equal(ours: Any, theirs: Any) -> bool:
    """Return whether two facts are the same."""
    if isinstance(theirs, np.ndarray):
        return ours.shape == theirs.shape and np.array_equal(ours, theirs, equal_nan=True)
    return ours == theirs


def damages(rng: random.Random, flips: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Yield ways to damage a file."""

    def flip(path: Path, at: float, bit: int) -> None:
        data = bytearray(path.read_bytes())
        if data:
            data[int(at * len(data))] ^= 1 << bit
        path.write_bytes(data)

    yield "truncated", lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    yield "emptied", lambda path: path.write_bytes(b"")
    yield "zeroed", lambda path: path.write_bytes(bytes(path.stat().st_size))
    yield "deleted", lambda path: path.unlink()
    for _ in range(flips):
        at, bit = rng.random(), rng.randrange(8)
        yield "flipped", lambda path, at=at, bit=bit: flip(path, at, bit)


if __name__ == "__main__":
    sys.exit(main())
