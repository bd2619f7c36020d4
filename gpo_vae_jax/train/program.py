"""Compiled programs of a run, and the memory that compiling them took."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax

from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.device_room import check_room
from gpo_vae_jax.train.layout import Layout

Program = Callable[..., Any]


def compiled(
    function: Any,
    arguments: tuple[Any, ...],
    *,
    spec: Spec,
    n_rows: int | None,
    layout: Layout | None = None,
    donate: tuple[int, ...] = (),
    **static: Any,
) -> Program:
    """Compile a jitted epoch for arguments like these; once for each kind, as jit does.

    Unlike a plain call it returns the compiler's memory to the system (`give_memory_back`), and may
    put results where arguments were.

    Args:
      function: `run_epoch`, or another jitted function with the static arguments `spec` and
        `n_rows`.
      arguments: positional arguments as the program will receive them.
      spec: passed on.
      n_rows: passed on.
      layout: passed on where there is one; the arguments are then on its devices.
      donate: positions of arguments whose memory the program takes for its results. Nobody may read
        them after the call.
      static: further static arguments, passed on.

    Returns:
      The compiled program; call it with the positional arguments alone.

    Raises:
      ConfigError: the device counts its memory, and has too little left for the program.
    """
    leaves, tree = jax.tree.flatten(arguments)
    kinds = tuple(_kind(leaf, placed=layout is not None) for leaf in leaves)
    more = static if layout is None else {**static, "layout": layout}
    return _compiled(function, kinds, tree, spec, n_rows, tuple(sorted(more.items())), donate)


def give_memory_back() -> bool:
    """Return freed memory to the system where glibc can, and report whether it could.

    A compiler frees what it took, 0.4 GiB for an epoch, but glibc keeps it for later small pieces.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return False
    return bool(trim(0))


def _kind(leaf: Any, *, placed: bool) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding if placed else None)


@lru_cache(maxsize=8)
def _compiled(
    function: Any,
    kinds,
    tree,
    spec: Spec,
    n_rows: int | None,
    static: tuple[tuple[str, Any], ...],
    donate: tuple[int, ...],
) -> Program:
    arguments = jax.tree.unflatten(tree, kinds)
    more = {"spec": spec, "n_rows": n_rows, **dict(static)}
    if donate:
        plain = function.__wrapped__
        function = jax.jit(plain, static_argnames=tuple(more), donate_argnums=donate)
    lowered = function.lower(*arguments, **more)
    program = lowered.compile(compiler_options=compiler_options(spec))
    check_room(program)
    give_memory_back()
    return program


def compiler_options(spec: Spec) -> dict[str, bool] | None:
    """Return what the compiler is told: on a GPU, whether sums keep to an order.

    Gradients of gathers are otherwise added up in the order in which threads come by.
    """
    if on_cpu() or not spec.train.deterministic:
        return None
    return {"xla_gpu_deterministic_ops": True}
