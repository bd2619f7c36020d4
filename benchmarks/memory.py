"""The memory of this process and of its device, as the system counts it."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any


def peak_gib() -> float:
    """Return the most memory that this process ever had (VmHWM), in GiB."""
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def forget_peak() -> bool:
    """Let the peak begin at what this process has now; say whether the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def resident_gib() -> float:
    """Return the memory that this process has now (VmRSS), in GiB; 0 where it cannot be found."""
    return _status("VmRSS") or 0.0


def available_gib() -> float:
    """Return the memory that the machine could still give, in GiB; infinite if it does not say."""
    return _field(Path("/proc/meminfo"), "MemAvailable") or float("inf")


def device_peak_gib(device: Any) -> float | None:
    """Return the most memory that a jax device ever had in use, in GiB; None if it does not count."""
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
