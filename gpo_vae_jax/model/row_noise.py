"""Random numbers by rows: a threefry key for each row, a hash along it.

Threefry for every number would take a good part of a training step. What is drawn hangs on a row's
key and a column's number, not on which other rows are drawn with it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.types import Array


def logistic_rows(keys: Array, n_columns: int) -> Array:
    """Draw standard logistic numbers, keys' shape [...] to [..., n_columns]."""
    uniform = _of_columns(keys, n_columns)
    return jnp.log(uniform) - jnp.log1p(-uniform)


def normal_rows(keys: Array, n_columns: int) -> Array:
    """Draw standard normal numbers, keys' shape [...] to [..., n_columns]."""
    uniform = _of_columns(keys, n_columns)
    return np.float32(np.sqrt(2)) * jax.lax.erf_inv(2 * uniform - 1)


def uniform_rows(words: Array, columns: Array, number: Array) -> Array:
    """Give uniform numbers in (0, 1), words' shape [..., 2] to [..., n_columns].

    Args:
      words: [..., 2] uint32, random: the hash has to scatter only within a row.
      columns: [n_columns] uint32, the numbers of the columns.
      number: uint32 scalar; another one gives other draws of the same columns.
    """
    counter = columns * jnp.uint32(0x9E3779B9) + number * jnp.uint32(0x85EBCA6B)
    counter = counter.reshape((1,) * (words.ndim - 1) + counter.shape)
    bits = _scatter(_scatter(counter + words[..., :1]) ^ words[..., 1:2])
    return _between_0_and_1(bits)


def _of_columns(keys: Array, n_columns: int) -> Array:
    columns = jnp.arange(n_columns, dtype=jnp.uint32)
    return uniform_rows(jax.random.key_data(keys), columns, jnp.uint32(0))


def _between_0_and_1(bits: Array) -> Array:
    """Give the middles of 2^23 equal steps: a 24th bit and the half would round up to 1."""
    return ((bits >> 9).astype(jnp.float32) + 0.5) * jnp.float32(2**-23)


def _scatter(bits: Array) -> Array:
    """Turn uint32 into uint32, one to one, each bit of the result hanging on every bit."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    return bits ^ (bits >> 16)
