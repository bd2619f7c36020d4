"""Numbers and names as readers expect them, and access to nested results that may have gaps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

NOTHING = "\N{EN DASH}"
_UNSHOWN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")


def dig(found: Any, *path: str) -> Any:
    """Return the entry at a path of keys, or None where the path ends early."""
    for key in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return found


def real(value: Any) -> float | None:
    """Return a finite number as float, anything else as None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def number(value: Any, digits: int = 3, *, fixed: bool = False) -> str:
    """Return a number with this many digits after the point; a dash for none.

    Numbers that would be rounded to 0 become 1.5e-05, unless `fixed`.
    """
    found = real(value)
    if found is None:
        return NOTHING
    if found and abs(found) < 0.5 * 10**-digits:
        return _signed(f"{0:.{digits}f}" if fixed else f"{found:.1e}")
    return _signed(f"{found:,.{digits}f}")


def count(value: Any) -> str:
    """Return a whole number with thousands separators; a dash for none."""
    found = real(value)
    return NOTHING if found is None else _signed(f"{round(found):,}")


def share(value: Any, digits: int | None = None) -> str:
    """Return a share in percent; a dash for none.

    Args:
      value: from 0 to 1.
      digits: after the point; by default one near 0 and 100 %, none elsewhere.
    """
    found = real(value)
    if found is None:
        return NOTHING
    percent = 100 * found
    if digits is None:
        digits = 1 if percent < 9.95 or 90.05 < percent < 99.95 else 0
    return f"{percent:.{digits}f}\N{NO-BREAK SPACE}%"


def ratio(part: Any, whole: Any) -> float | None:
    """Return part / whole, or None where there is no whole."""
    part, whole = real(part), real(whole)
    return part / whole if part is not None and whole else None


def times(value: Any) -> str:
    """Return a factor, such as "1.8 times"; a dash for none."""
    found = real(value)
    return NOTHING if found is None else f"{found:.1f} times"


def plural(value: Any, one: str, many: str = "") -> str:
    """Return a count with its noun: 1 edge, 2 edges, no edges."""
    found = real(value)
    noun = one if found is not None and round(found) == 1 else many or one + "s"
    return f"no {noun}" if found == 0 else f"{count(value)} {noun}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Return names as a list in a sentence: a, b and c."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def name(value: Any, longest: int = 0) -> str:
    """Return a name on one line, cut in its middle beyond `longest` characters (0: never)."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    text = _UNSHOWN.sub(" ", str(value)).strip() or NOTHING
    if not longest or len(text) <= longest:
        return text
    tail = (longest - 1) // 3
    return f"{text[: longest - 1 - tail]}…{text[len(text) - tail :] if tail else ''}"


def words(key: str) -> str:
    """Return the name of a column or setting as words."""
    return name(key).replace("_", " ")


def cell(value: Any) -> str:
    """Return any entry of a table as text."""
    if isinstance(value, str):
        return name(value)
    if str(value) in ("True", "False"):
        return "yes" if value else "no"
    found = real(value)
    if found is None:
        return NOTHING
    if found == round(found) and abs(found) < 1e15:
        return count(found)
    return number(found)


def _signed(text: str) -> str:
    """Return the text of a number with a true minus sign."""
    return text.replace("-", "\N{MINUS SIGN}")
