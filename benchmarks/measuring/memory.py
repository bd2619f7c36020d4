"""The memory of this process and of its device, as the system reports it."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any


def peak_gib() -> float:
    """Return the peak memory of this process (VmHWM), in GiB.

    Unlike `getrusage`, VmHWM leaves out the process that started this one.
    """
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def forget_peak() -> bool:
    """Reset the peak to the current memory; return whether the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def resident_gib() -> float:
    """Return the current memory of this process (VmRSS), in GiB; 0 where it is unknown."""
    return _status("VmRSS") or 0.0


def anonymous_gib() -> float:
    """Return the current memory of this process without pages of files (RssAnon), in GiB."""
    return _status("RssAnon") or 0.0


def available_gib() -> float:
    """Return the memory that is still available, in GiB; infinite where it is unknown."""
    return _field(Path("/proc/meminfo"), "MemAvailable") or float("inf")


def device_peak_gib(device: Any) -> float | None:
    """Return the peak memory of a jax device, in GiB; None where it is not counted."""
    found = device.memory_stats() or {}
    peak = found.get("peak_bytes_in_use")
    return None if peak is None else round(peak / 2**30, 3)


def _status(key: str) -> float | None:
    return _field(Path("/proc/self/status"), key)


def _field(path: Path, key: str) -> float | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{key}:")]
    return int(found[0]) / 2**20 if found else None
