"""Read the text of a scheduled program (HLO), as the compiler leaves it."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterator

SIZES = {
    **dict.fromkeys(("pred", "s4", "u4", "s8", "u8", "f8"), 1),
    **dict.fromkeys(("bf16", "f16", "s16", "u16"), 2),
    **dict.fromkeys(("f32", "s32", "u32"), 4),
    **dict.fromkeys(("f64", "s64", "u64", "c64"), 8),
}
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
_HEADER = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_NAME = re.compile(r"%([\w.\-]+)")


@dataclasses.dataclass(frozen=True)
class Kind:
    """Type and shape of one array."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Return the bytes that the array takes."""
        return self.size * SIZES.get(self.dtype, 0)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    result: str  # text of its type
    opcode: str
    operands: tuple[str, ...]  # names
    inside: str  # what stands between the parentheses
    rest: str  # what follows them

    @functools.cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Return the arrays of the result; several for a tuple."""
        return tuple(
            Kind(dtype, tuple(int(n) for n in shape.split(",") if n))
            for dtype, shape in _ARRAY.findall(self.result)
        )

    @property
    def n_bytes(self) -> int:
        """Return the bytes of the result."""
        return sum(kind.n_bytes for kind in self.kinds)

    def attribute(self, name: str) -> str | None:
        """Return the value of `name=`, up to the next comma outside of brackets."""
        found = re.search(rf"[, ]{name}=(%?[\w.\-]+|\{{[^}}]*\}}|\"[^\"]*\")", self.rest)
        return found.group(1).lstrip("%") if found else None

    @property
    def dimensions(self) -> dict[str, tuple[int, ...]]:
        """Return the numbers of `..._dims={...}` by name."""
        return {
            name: tuple(int(n) for n in numbers.split(",") if n)
            for name, numbers in re.findall(r"(\w+_dims)=\{([\d,]*)\}", self.rest)
        }

    @property
    def called(self) -> tuple[str, ...]:
        """Return the computations that a fusion, loop or branch runs."""
        names = [
            self.attribute(a) for a in ("calls", "body", "true_computation", "false_computation")
        ]
        branches = self.attribute("branch_computations")
        return tuple(n for n in names if n) + tuple(_NAME.findall(branches or ""))

    @property
    def trip_count(self) -> int | None:
        """Return how often a loop runs, where the compiler knows it."""
        found = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', self.rest)
        return int(found.group(1)) if found else None

    @property
    def origin(self) -> str:
        """Return the operation of the source that it came from."""
        found = re.search(r'op_name="([^"]*)"', self.rest)
        return found.group(1) if found else ""


Computation = dict[str, Instruction]  # by name, in order


@dataclasses.dataclass(frozen=True)
class Scheduled:
    """A whole program."""

    computations: dict[str, Computation]
    entry: str

    def instructions(self) -> Iterator[Instruction]:
        """Yield the instructions of all computations."""
        for computation in self.computations.values():
            yield from computation.values()


def scheduled(text: str) -> Scheduled:
    """Parse a program.

    Raises:
      ValueError: the text has no entry.
    """
    computations: dict[str, Computation] = {}
    entry, current = None, None
    for line in text.splitlines():
        if header := _HEADER.match(line):
            current = computations.setdefault(header.group(1), {})
            entry = header.group(1) if line.startswith("ENTRY") else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (found := _instruction(line)):
            current[found.name] = found
    if entry is None:
        raise ValueError("the text is not a scheduled program: it has no ENTRY")
    return Scheduled(computations, entry)


def _instruction(line: str) -> Instruction | None:
    name, equals, rest = line.strip().removeprefix("ROOT ").partition(" = ")
    if not equals or not name.startswith("%"):
        return None
    result, rest = _up_to(rest, 0)
    opcode, _, _ = rest.partition("(")
    inside, rest = _up_to(rest, len(opcode))
    inside = inside[len(opcode) + 1 : -1]
    return Instruction(name[1:], result, opcode, tuple(_NAME.findall(inside)), inside, rest)


def _up_to(text: str, start: int) -> tuple[str, str]:
    """Split after a type or a pair of parentheses that opens at `start`."""
    if text[start] != "(":
        end = text.index(" ", start)
        return text[:end], text[end + 1 :]
    depth = 0
    for at in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return text[: at + 1], text[at + 1 :].removeprefix(" ")
    raise ValueError(f"unbalanced parentheses: {text[:80]}")
