"""Random numbers derived from cell names, independent of the order of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)  # increment and multipliers of the SplitMix64 generator
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def hash_names(names: Iterable[str], seed: int, purpose: str) -> np.ndarray:
    """Hash each name to 64 random bits, [N] uint64, a function of (seed, purpose, name) alone."""
    prefix = f"{seed}\0{purpose}\0".encode()
    digests = (hashlib.blake2b(prefix + str(n).encode(), digest_size=8).digest() for n in names)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def draw_below(hashes: np.ndarray, n_draws: int, high: int) -> np.ndarray:
    """Draw integers in [0, high), [N, n_draws] int64: one SplitMix64 stream per hash."""
    steps = np.arange(1, n_draws + 1, dtype=np.uint64) * _STEP
    z = hashes[:, None] + steps[None, :]
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    z = (z ^ (z >> np.uint64(31))) >> np.uint64(32)
    return ((z * np.uint64(high)) >> np.uint64(32)).astype(np.int64)


def uniform_of_pairs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return a uniform number in [0, 1) for each pair of hashes, broadcast, float64."""
    z = one + other * _STEP
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
