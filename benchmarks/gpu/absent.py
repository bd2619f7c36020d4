"""Compile for a card that is not there."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.gpu.cards import Card
from benchmarks.gpu.scheduled import Scheduled, scheduled

NEEDED = "jax-cuda12-plugin, jax-cuda12-pjrt and nvidia-cuda-nvcc-cu12"


class UnavailableError(Exception):
    """The compiler for GPUs is not installed."""


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A program as the compiler leaves it."""

    program: Scheduled
    assembly: dict[str, str]  # PTX, by name of the kernel
    argument_bytes: int
    temporary_bytes: int
    output_bytes: int


class Compiler:
    """The compiler for one card."""

    def __init__(self, card: Card):
        """Load the compiler.

        Raises:
          UnavailableError: its packages are not installed, or this jax cannot do without a card.
        """
        try:
            from jax.experimental import topologies

            self._device = topologies.get_topology_desc(
                platform="cuda", target_config=card.target(), topology="1x1x1"
            ).devices[0]
        except Exception as error:
            raise UnavailableError(
                f"there is no compiler for GPUs here (pip install {NEEDED}, of jax's version): "
                f"{str(error).splitlines()[0]}"
            ) from None

    def __call__(
        self, function: Callable[..., Any], arguments: Sequence[Any], *, assembly: bool = True
    ) -> Compiled:
        """Compile a function for arguments of these shapes and types.

        Args:
          function: not jitted, with static arguments bound.
          arguments: arrays or shapes of arrays.
          assembly: whether to keep the kernels' PTX.
        """
        placed = jax.sharding.SingleDeviceSharding(self._device)
        kinds = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=placed), tuple(arguments)
        )
        with for_a_gpu(), tempfile.TemporaryDirectory() as folder:
            options = {"xla_dump_to": folder, "xla_gpu_dump_llvmir": False} if assembly else {}
            compiled = jax.jit(function).lower(*kinds).compile(compiler_options=options)
            kernels = _kernels(Path(folder))
        memory = compiled.memory_analysis()
        return Compiled(
            scheduled(compiled.as_text()),
            kernels,
            memory.argument_size_in_bytes,
            memory.temp_size_in_bytes,
            memory.output_size_in_bytes,
        )


@contextlib.contextmanager
def for_a_gpu() -> Iterator[None]:
    """Let the package take the form that it has on a GPU."""
    before = jax.default_backend
    jax.default_backend = lambda: "gpu"
    try:
        yield
    finally:
        jax.default_backend = before


def _kernels(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.glob("*.ptx")):
        _, *entries = path.read_text().split(".entry ")
        found |= {entry.split("(")[0].strip(): entry for entry in entries}
    return found
