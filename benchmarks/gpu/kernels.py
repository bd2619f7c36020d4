"""The kernels that a scheduled program launches: bytes, operations, and a roofline of its time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from benchmarks.gpu.scheduled import Computation, Instruction, Scheduled

# Instructions that launch nothing.
FREE = frozenset({"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"})
_SLICES = frozenset({"dynamic-slice", "slice", "gather"})


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel, and how often a run of the program launches it."""

    name: str
    origin: str
    kind: str  # "product" or "other"
    times: int
    read: int  # bytes
    written: int
    operations: int  # of products: two for each factor pair
    arrays: tuple[int, ...]  # elements of each array that it reads or writes

    @property
    def n_bytes(self) -> int:
        """Return the bytes that it moves."""
        return self.read + self.written


@dataclasses.dataclass(frozen=True)
class Loop:
    """A loop or a branch whose course the host must be told."""

    name: str
    origin: str
    opcode: str


def kernels_of(program: Scheduled) -> tuple[list[Kernel], list[Loop]]:
    """Return the kernels of a run, and the loops and branches that depend on data.

    A loop without a known number of rounds counts as one round; of branches, the one that moves the
    fewest bytes counts: it is meant to be taken.
    """
    loops: list[Loop] = []
    return list(_of_computation(program, program.entry, 1, loops)), loops


def _of_computation(
    program: Scheduled, name: str, times: int, loops: list[Loop]
) -> Iterator[Kernel]:
    computation = program.computations[name]
    for found in computation.values():
        if found.opcode in FREE:
            continue
        if found.opcode == "while":
            body = found.attribute("body")
            assert body is not None
            if found.trip_count is None:
                loops.append(Loop(found.name, found.origin, "while"))
            yield from _of_computation(program, body, times * (found.trip_count or 1), loops)
        elif found.opcode == "conditional":
            loops.append(Loop(found.name, found.origin, "conditional"))
            branches = [list(_of_computation(program, b, times, loops)) for b in found.called]
            yield from min(branches, key=lambda ks: sum(k.times * k.n_bytes for k in ks))
        elif found.opcode == "call":
            yield from _of_computation(
                program, found.rest.split("to_apply=%")[1].split(",")[0], times, loops
            )
        else:
            yield _kernel(program, computation, found, times)


def _kernel(program: Scheduled, where: Computation, found: Instruction, times: int) -> Kernel:
    inner = program.computations[found.called[0]] if found.opcode == "fusion" else None
    read, arrays = 0, []
    for at, operand in enumerate(found.operands):
        source = where[operand]
        size = source.n_bytes if inner is None else _read(program, inner, at)
        read += size
        arrays += [kind.size for kind in source.kinds if size >= kind.n_bytes]
    written = found.n_bytes if inner is None else _written(inner, found)
    arrays += [kind.size for kind in found.kinds]
    products = list(_products(program, where, found))
    return Kernel(
        name=found.name,
        origin=found.origin,
        kind="product" if products else "other",
        times=times,
        read=read,
        written=written,
        operations=sum(products),
        arrays=tuple(arrays),
    )


def _read(program: Scheduled, inner: Computation, at: int) -> int:
    """Return the bytes that a fusion reads of a parameter: of slices, what they take."""
    (parameter,) = [i for i in inner.values() if i.opcode == "parameter" and i.inside == str(at)]
    return min(parameter.n_bytes, _read_from(program, inner, parameter, parameter.n_bytes))


def _read_from(program: Scheduled, inner: Computation, source: Instruction, whole: int) -> int:
    total = 0
    for user in inner.values():
        if source.name not in user.operands:
            continue
        first = user.operands[0] == source.name
        if user.opcode in _SLICES and first:
            total += user.n_bytes
        elif user.opcode in ("dynamic-update-slice", "scatter") and first:
            continue  # in place
        elif user.opcode in ("bitcast", "reshape"):
            total += _read_from(program, inner, user, whole)
        else:
            return whole
    return total


def _written(inner: Computation, found: Instruction) -> int:
    roots = [i for i in inner.values() if i.opcode in ("dynamic-update-slice", "scatter")]
    saved = 0
    for root in roots:
        update = inner[root.operands[2 if root.opcode == "scatter" else 1]]
        saved += max(root.n_bytes - update.n_bytes, 0)
    return max(found.n_bytes - saved, 0) if saved else found.n_bytes


def _products(program: Scheduled, where: Computation, found: Instruction) -> Iterator[int]:
    """Yield the operations of every product in an instruction or in what it calls."""
    if found.opcode == "dot":
        left = where[found.operands[0]].kinds[0].shape
        contracted = math.prod(left[d] for d in found.dimensions["lhs_contracting_dims"])
        yield 2 * found.kinds[0].size * contracted
    elif found.opcode == "fusion":
        inner = program.computations[found.called[0]]
        for instruction in inner.values():
            yield from _products(program, inner, instruction)
