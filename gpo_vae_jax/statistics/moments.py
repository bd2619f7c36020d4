"""Mean and standard deviation of values that arrive in chunks."""

from __future__ import annotations

import numpy as np

_EVERYTHING = slice(None)


class Moments:
    """Running mean and standard deviation of an array of numbers, merged by Chan's formula.

    Everything is float64, and no digits are lost where the mean is large and the spread small.
    """

    def __init__(self, shape: tuple[int, ...]):
        """Start without any observation of an array of this shape."""
        self.n = np.zeros((*shape[:1], *(1 for _ in shape[1:])))
        self.mean = np.zeros(shape)
        self._squares = np.zeros(shape)

    def add(self, values: np.ndarray, at: slice = _EVERYTHING) -> None:
        """Add observations [n, *shape] with n >= 1, or only their part `at` of the first axis."""
        values = np.asarray(values, np.float64)
        before, new = self.n[at], len(values)
        mean = values.mean(axis=0)
        shift, total = mean - self.mean[at], before + new
        self._squares[at] += np.square(values - mean).sum(axis=0)
        self._squares[at] += np.square(shift) * (before * new / total)
        self.mean[at] += shift * (new / total)
        self.n[at] = total

    def std(self) -> np.ndarray:
        """Return the unbiased standard deviation; 0 after a single observation."""
        return np.sqrt(self._squares / np.maximum(self.n - 1, 1))
