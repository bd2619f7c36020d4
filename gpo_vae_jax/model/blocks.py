"""Work on blocks of cells and genes: on a CPU in chunks that fit its cache, sums as products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from gpo_vae_jax.types import Array

CHUNK_BYTES = 12 << 20  # of one block: fits a cache
LONG_SIDE = 2048  # of a matrix: genes, not treatments or hidden units
_Sum = TypeVar("_Sum")
_Found = TypeVar("_Found")


def n_chunks(n_cells: int, n_bytes: int) -> int:
    """Return the number of chunks, which divides the number of cells; 1 except on a CPU."""
    if not on_cpu():
        return 1
    wanted = -(-n_bytes // CHUNK_BYTES)
    found = next((n for n in range(wanted, n_cells + 1) if n_cells % n == 0), 1)
    return found if found <= 4 * wanted else 1  # never one by one, as with a prime number of cells


def by_chunks(
    function: Callable[..., tuple[_Sum, _Found]], zeros: _Sum, chunks: Any
) -> tuple[_Sum, _Found]:
    """Return the sum of `function`'s first result over chunks of cells, and its second for all.

    Args:
      function: takes one chunk; its second result has the chunk's cells on the first axis.
      zeros: start of the sum.
      chunks: arrays with the chunks on the first axis.
    """
    if len(jax.tree.leaves(chunks)[0]) == 1:
        return function(jax.tree.map(lambda a: a[0], chunks))

    def body(total, chunk):
        terms, of_cells = function(chunk)
        return jax.tree.map(jnp.add, total, terms), of_cells

    total, found = jax.lax.scan(body, zeros, chunks)
    return total, jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)


def over_last(a: Array) -> Array:
    """Sum over the last axis; on a CPU by a product with ones, which is faster there."""
    if not on_cpu():
        return a.sum(-1)
    return jnp.matmul(a, jnp.ones(a.shape[-1], a.dtype), precision="highest")


def over_rows(weight: Array, rows: Array) -> Array:
    """Sum rows [n, G] with weights [n]; on a CPU by a product."""
    if not on_cpu():
        return (weight[:, None] * rows).sum(0)
    return jnp.matmul(weight, rows, precision="highest")


def aligned(n: int) -> int:
    """Return the side that a matrix of side n is given in a product, n itself on a CPU.

    A GPU's products are slower where sides are no multiples of 8 (of 32, where a long side is
    divided among blocks), and the compiler would copy factors that are not aligned.
    """
    step = 1 if on_cpu() else 8 if n < LONG_SIDE else 32
    return -(-n // step) * step


def on_cpu() -> bool:
    """Return whether JAX computes on a CPU."""
    return jax.default_backend() == "cpu"
