"""What a program for a GPU must not contain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from benchmarks.gpu.absent import Compiled
from benchmarks.gpu.kernels import Loop
from benchmarks.gpu.scheduled import Instruction

_ON_THE_HOST = frozenset({"infeed", "outfeed", "send", "recv", "send-done", "recv-done"})
_OF_THE_HOST = re.compile(r"callback|host", re.IGNORECASE)
_ALGORITHMS = {"tf32": "dot_tf32_tf32_f32", "bf16": "dot_bf16_bf16_f32"}
_ON_TENSOR_CORES = re.compile(r"mma[\w.]*\.(tf32|bf16|f16)\.")


def problems(compiled: Compiled, precision: str) -> list[str]:
    """Name the host transfers, float64 and products of another precision in a program."""
    found = []
    for instruction in compiled.program.instructions():
        found += _of_instruction(instruction, precision)
    return found + list(_of_assembly(compiled.assembly, precision))


def decisions(loops: Sequence[Loop], program: str) -> list[str]:
    """Name the loops and branches whose course the host must be told, where there must be none.

    A training may decide once, before its loop, how many rows of the network its batches use.
    """
    training = program in ("step", "epoch")
    return [
        f"{loop.name}: a {loop.opcode} waits for the host ({loop.origin})"
        for loop in loops
        if not (training and loop.opcode == "conditional" and "while" not in loop.origin)
    ]


def products(compiled: Compiled) -> int:
    """Count the kernels that multiply on tensor cores, by their assembly."""
    return sum(bool(_ON_TENSOR_CORES.search(text)) for text in compiled.assembly.values())


def _of_instruction(one: Instruction, precision: str) -> Iterator[str]:
    if one.opcode in _ON_THE_HOST:
        yield f"{one.name}: {one.opcode} waits for the host ({one.origin})"
    target = one.attribute("custom_call_target") or ""
    if _OF_THE_HOST.search(target):
        yield f"{one.name}: calls {target} ({one.origin})"
    if any(kind.dtype in ("f64", "c128") for kind in one.kinds):
        yield f"{one.name}: float64 ({one.origin})"
    if one.opcode == "dot":
        asked = _ALGORITHMS.get(precision)
        right = asked in one.rest if asked else "{highest,highest}" in one.rest
        if not right:
            yield f"{one.name}: a product that is not in {precision} ({one.origin})"


def _of_assembly(kernels: dict[str, str], precision: str) -> Iterator[str]:
    for name, text in kernels.items():
        used = set(_ON_TENSOR_CORES.findall(text))
        if used - {precision}:
            yield f"{name}: multiplies in {', '.join(sorted(used))}, not in {precision}"
        elif name.startswith("gemm_fusion") and precision in _ALGORITHMS and not used:
            yield f"{name}: its assembly does not use {precision}"
