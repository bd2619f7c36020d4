"""The rows on guides and control kinds as the record of a prepared file holds them: JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.types import ScreenQuality

_FIELDS = {"guides": ("gene", "guide", "verdict"), "control_kinds": ("kind", "verdict")}


def rows_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as JSON text: numbers with 6 digits, null for those that are not finite."""
    return json.dumps([{key: _plain(value) for key, value in row.items()} for row in rows])


def read_screen(record: Mapping[str, Any]) -> ScreenQuality:
    """Return what a record says of guides and control kinds; null becomes nan.

    Raises DataError if an entry is there but is no such list of rows.
    """
    return ScreenQuality(**{field: _rows(record, field) for field in _FIELDS})


def _rows(record: Mapping[str, Any], field: str) -> tuple[dict[str, Any], ...]:
    try:
        rows = json.loads(str(record[field])) if field in record else []
        whole = all(str(row[key]) for row in rows for key in _FIELDS[field])
        if not whole or not isinstance(rows, list):
            raise ValueError("a row lacks a name")
        return tuple({key: math.nan if v is None else v for key, v in r.items()} for r in rows)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"uns['gpo_vae'][{field!r}] is not a JSON list of rows with "
            f"{', '.join(_FIELDS[field])}; prepare the raw counts again (gpo-vae prepare), or "
            "delete it"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
