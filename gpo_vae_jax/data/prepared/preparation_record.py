"""The record of a preparation, uns['gpo_vae']: read and checked before anything is believed."""

from __future__ import annotations

import json
import numbers
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gpo_vae_jax.errors import DataError, listed

FORMAT_VERSION = 1
RECORD = "gpo_vae"  # uns entry: how the data was prepared
ADVICE = "prepare the raw counts first: gpo-vae prepare, or gpo_vae_jax.prepare(adata)"
MATCHING = "control matching"  # the stage that chooses matched controls
_REQUIRED = ("dosage_names", "n_perturbed", "format_version", "separator", "control")


class PreparationRecord(NamedTuple):
    """What the record says; fields that only some files have are empty where they are absent."""

    treatments: tuple[str, ...]  # T names
    n_perturbed: int  # R
    control: str
    separator: str
    unmeasured: tuple[str, ...] | None  # perturbed genes that are not measured; None: not said
    gene_name_key: str  # var column with other names of the genes
    quality_limits: dict[str, dict[str, float]]  # by MADs, then by metric
    matches_elsewhere: int  # recorded matches that are in another split
    covariates: tuple[str, ...] = ()  # obs columns of categorical covariates


def read_record(uns: Mapping[str, Any]) -> PreparationRecord:
    """Return the record of a prepared AnnData.

    Raises:
      DataError: the record or a field of it is missing, is of the wrong type, or contradicts
        another field.
    """
    if RECORD not in uns:
        raise DataError(f"this data is not prepared: uns[{RECORD!r}] is missing; {ADVICE}")
    record = uns[RECORD]
    if not isinstance(record, Mapping):
        raise DataError(f"uns[{RECORD!r}] is {_kind(record)}, not a record; {ADVICE}")
    require(record, _REQUIRED, f"uns[{RECORD!r}]")
    version = _whole_number(record, "format_version")
    if version != FORMAT_VERSION:
        raise DataError(
            f"the data has format_version {version}, and this version reads {FORMAT_VERSION}; "
            f"{ADVICE}"
        )
    treatments, n_perturbed = _names(record, "dosage_names"), _whole_number(record, "n_perturbed")
    if not 1 <= n_perturbed <= len(treatments):
        raise _wrong("n_perturbed", f"is {n_perturbed}; there are {len(treatments)} dosage_names")
    _check_tally(_json(record, "counts", {}), n_perturbed, len(treatments))
    unmeasured = _json(record, "unmeasured", [], str) if "unmeasured" in record else None
    key = _json(record, "settings", {}).get("gene_name_key", "")
    if not isinstance(key, str):
        raise _wrong("settings", f"has {key!r} as gene_name_key, which must be text")
    return PreparationRecord(
        treatments=treatments,
        n_perturbed=n_perturbed,
        control=_text(record, "control"),
        separator=_text(record, "separator"),
        unmeasured=None if unmeasured is None else tuple(unmeasured),
        gene_name_key=key,
        quality_limits=_limits(record),
        matches_elsewhere=_matches_elsewhere(record),
        covariates=tuple(_json(record, "covariates", [], str)),
    )


def require(
    group: Mapping[str, Any] | pd.DataFrame,
    names: Sequence[str],
    where: str,
    instead: Collection[str] = (),
) -> None:
    """Raise DataError unless `group` (or else `instead`) has all the names."""
    missing = [name for name in names if name not in group and name not in instead]
    if missing:
        have = listed(group.keys()) or "nothing"
        raise DataError(f"{where} lacks {', '.join(missing)} (it has: {have}); {ADVICE}")


def _check_tally(tally: Mapping[str, Any], n_perturbed: int, n_treatments: int) -> None:
    """Check the sizes against the numbers that preparation counted, if they are there."""
    for name, size, what in (
        ("perturbed_genes", n_perturbed, "n_perturbed"),
        ("extended_genes", n_treatments - n_perturbed, "the number of further dosage_names"),
    ):
        if tally.get(name, size) != size:
            raise _wrong("counts", f"has {tally[name]!r} {name}, but {what} is {size}")


def _limits(record: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    limits = _json(record, "thresholds", {}, dict)
    for mads, by_metric in limits.items():
        for metric, limit in by_metric.items():
            if not _is_number(limit):
                raise _wrong("thresholds", f"has {limit!r} for {metric} at {mads} MADs")
    return limits


def _matches_elsewhere(record: Mapping[str, Any]) -> int:
    """Return how many recorded matches preparation found in another split; 0 if it computed them.

    Files prepared upstream may have such matches; the stage that takes them over counts them.
    """
    for stage in _json(record, "stages", [], dict):
        if stage.get("stage") == MATCHING and stage.get("by") == "record":
            found = stage.get("in_another_split", 0)
            if isinstance(found, int):
                return found
            raise _wrong("stages", f"has {found!r} as in_another_split")
    return 0


def _whole_number(record: Mapping[str, Any], name: str) -> int:
    value = record[name]
    if not _is_number(value) or int(value) != value:
        raise _wrong(name, f"is {_kind(value)}, not a whole number")
    return int(value)


def _is_number(value: Any) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    return real and bool(np.isfinite(float(value)))


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    if not isinstance(value, str):
        raise _wrong(name, f"is {_kind(value)}, not text")
    return str(value)


def _names(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = np.asarray(record[name], dtype=object)
    if values.ndim != 1 or not values.size:
        raise _wrong(name, f"has shape {values.shape}; expected the names of one gene or more")
    odd = [value for value in values if not isinstance(value, str) or not value.strip()]
    if odd:
        raise _wrong(name, f"has {odd[0]!r}, which is not the name of a gene")
    return tuple(map(str, values))


def _json(record: Mapping[str, Any], name: str, absent: Any, of: type = object) -> Any:
    """Return a field that holds a list or an object as JSON text, with values of type `of`."""
    if name not in record:
        return absent
    try:
        value = json.loads(_text(record, name))
    except json.JSONDecodeError as error:
        raise _wrong(name, f"is not JSON text: {error}") from error
    if not isinstance(value, type(absent)):
        raise _wrong(name, f"holds {_kind(value)}, not {_kind(absent)}")
    inside = value.values() if isinstance(value, dict) else value
    odd = [one for one in inside if not isinstance(one, of)]
    if odd:
        raise _wrong(name, f"holds {odd[0]!r}, which is no {of.__name__}")
    return value


def _wrong(name: str, what: str) -> DataError:
    return DataError(f"uns[{RECORD!r}][{name!r}] {what}; {ADVICE}")


def _kind(value: Any) -> str:
    """Describe a value for a message: short ones as they are, others by their type."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    return str(value)[:40] if str(value) else "empty text"
