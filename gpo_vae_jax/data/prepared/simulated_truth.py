"""The true network and effects of simulated data, uns['gpo_vae_truth']."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpo_vae_jax.data.dataset import truth_among
from gpo_vae_jax.errors import DataError

TRUTH = "gpo_vae_truth"  # uns entry
_ADVICE = f"simulate the data again, or remove uns[{TRUTH!r}]: data without it can be trained on"
_PAIRS = (("followers", "follows"), ("labels", "effects"))  # of no use without each other


def read_truth(
    uns: Mapping[str, Any], treatments: Sequence[str]
) -> tuple[np.ndarray | None, dict[str, np.ndarray] | None]:
    """Return the true network, [T, T], and the true effect of each label; None where unknown.

    Raises:
      DataError: a field is missing, has another shape than the names say, or no numbers.
    """
    if TRUTH not in uns:
        return None, None
    truth = uns[TRUTH]
    if not isinstance(truth, Mapping):
        raise DataError(f"uns[{TRUTH!r}] is no record; {_ADVICE}")
    absent = [name for name in ("names", "weights") if name not in truth]
    absent += [b for pair in _PAIRS for a, b in (pair, pair[::-1]) if a in truth and b not in truth]
    if absent:
        raise DataError(f"uns[{TRUTH!r}] lacks {', '.join(absent)}; {_ADVICE}")
    found = {"names": _names(truth, "names")}
    n = len(found["names"])
    found["weights"] = _numbers(truth, "weights", (n, n))
    if "through_hidden" in truth:
        found["through_hidden"] = _numbers(truth, "through_hidden", (n, n))
    if "followers" in truth:
        found["followers"] = _names(truth, "followers")
        found["follows"] = _numbers(truth, "follows", (n, len(found["followers"])))
    network = truth_among(treatments, found)
    if "labels" not in truth:
        return network, None
    names = _names(truth, "labels")
    effects = _numbers(truth, "effects", (len(names), None))
    return network, dict(zip(map(str, names), effects, strict=True))


def _names(truth: Mapping[str, Any], name: str) -> np.ndarray:
    values = np.asarray(truth[name], dtype=object)
    if values.ndim != 1 or not all(isinstance(value, str) and value for value in values):
        raise DataError(f"uns[{TRUTH!r}][{name!r}] must be a list of names; {_ADVICE}")
    if len(set(values)) < len(values):
        raise DataError(f"uns[{TRUTH!r}][{name!r}] has a name twice; {_ADVICE}")
    return values


def _numbers(truth: Mapping[str, Any], name: str, expected: tuple[int | None, ...]) -> np.ndarray:
    values = np.asarray(truth[name])
    fits = values.ndim == len(expected) and all(
        want is None or have == want for have, want in zip(values.shape, expected, strict=True)
    )
    if not fits:
        raise DataError(
            f"uns[{TRUTH!r}][{name!r}] has shape {values.shape}, which does not fit the names "
            f"beside it; {_ADVICE}"
        )
    if values.dtype.kind in "iuf":
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise DataError(f"uns[{TRUTH!r}][{name!r}] has values that are no numbers; {_ADVICE}")
    return values
