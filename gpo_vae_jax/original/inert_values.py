"""What stands in for foreign objects of a pickle: names and arguments, nothing that acts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Named:
    """A class or function that the pickle names; it is not looked up."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Called:
    """What a call would have returned, or an object: the name and what it was given."""

    def __init__(self, name: str, arguments: Any):
        self.name = name
        self.arguments = arguments
        self.state: Any = None  # what the pickle would have set
        self.items: list[Any] = []  # what it would have appended
        self.entries: list[tuple[Any, Any]] = []  # what it would have stored by key

    def __repr__(self) -> str:
        return f"<{self.name}(...)>"


def everything_in(value: Any) -> Iterator[Any]:
    """Yield every value that can be reached from one, each once, whatever refers to what."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)
        elif isinstance(one, Called):
            waiting.extend((one.arguments, one.state, one.items, one.entries))


def is_larger_than(value: Any, most: int) -> bool:
    """Return whether a value has more than `most` parts, counting a shared part wherever it is.

    A few lines can describe billions of parts by sharing, or endless ones by a cycle.
    """
    n, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        n += 1
        if n > most:
            return True
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)
    return False
