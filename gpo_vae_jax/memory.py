"""Chunk sizes: how much of a piece of work fits into a given memory; and the memory there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

DENSE_GIB = 0.125  # of a dense float64 copy that preparation makes at a time


def numbers_within(gib: float, bytes_each: int = 4) -> int:
    """Return how many numbers fit into a memory of `gib` GiB; by default float32 ones."""
    return int(gib * 2**30 / bytes_each)


def items_within(numbers: int, numbers_each: int) -> int:
    """Return how many items of `numbers_each` numbers fit into `numbers`, at least 1."""
    return max(1, numbers // max(1, numbers_each))


def pieces(n: int, step: int) -> Iterator[slice]:
    """Cut 0..n into slices of `step`, the last one shorter."""
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def available_bytes(root: str | Path = "/") -> float:
    """Return the memory that this process may still take; infinite where no system says.

    It is what the machine has free, or what is left of the limits of the process's control groups
    (as SLURM and Kubernetes set them), if that is less. The cache of files counts as free.

    Args:
      root: of the file system; another one for tests.
    """
    root = Path(root)
    free = _number(root / "proc/meminfo", "MemAvailable:")
    found = [float("inf") if free is None else free * 1024]
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, inside = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        group = mount / inside.lstrip("/")
        found += [_left(one) for one in (group, *group.parents) if one.is_relative_to(mount)]
    return max(min(found), 0.0)


def _left(group: Path) -> float:
    """Return limit minus use of a control group, of either version; infinite without a limit."""
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, now = _number(group / limit), _number(group / used)
        if most is not None and now is not None:
            return most - now + (_number(group / "memory.stat", cache) or 0)
    return float("inf")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number(path: Path, key: str = "") -> int | None:
    """Return the number of a file, or of its line that begins with `key`; None if there is none."""
    for line in _lines(path):
        name, _, value = line.partition(" ") if key else ("", "", line)
        words = value.split()
        if name == key and words and words[0].isdigit():
            return int(words[0])
    return None
