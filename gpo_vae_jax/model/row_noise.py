"""Random numbers by rows: a threefry key for each row, a hash along it.

Threefry for every number would take a good part of a training step. A number depends on the key of
its row and the number of its column, not on the rows drawn with it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.types import Array

# Of w = -log(1 - x^2), highest power first: around 2.5, and of its root around 3 from w = 5 on.
_CENTRAL = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip


def logistic_rows(keys: Array, n_columns: int) -> Array:
    """Draw standard logistic numbers, [..., n_columns], from keys [...]."""
    uniform = _of_columns(keys, n_columns)
    return jnp.log(uniform / (1 - uniform))  # 1 - u is exact


def normal_rows(keys: Array, n_columns: int) -> Array:
    """Draw standard normal numbers, [..., n_columns], from keys [...]."""
    return normal_quantile(_of_columns(keys, n_columns))


def normal_quantile(uniform: Array) -> Array:
    """Return the quantile of the standard normal distribution at `uniform` in (0, 1).

    It is sqrt(2) times the inverse error function of x = 2 u - 1 in single precision (Giles 2012),
    with 1 - x^2 computed as 4 u (1 - u), which does not cancel. XLA's own is slower on a CPU.
    """
    w = -jnp.log(4 * uniform * (1 - uniform))
    central = _polynomial(_CENTRAL, w - 2.5)
    tail = _polynomial(_TAIL, jnp.sqrt(w) - 3)
    return np.float32(np.sqrt(2)) * (2 * uniform - 1) * jnp.where(w < 5, central, tail)


def uniform_rows(words: Array, columns: Array, number: Array) -> Array:
    """Return uniform numbers in (0, 1), [..., n_columns].

    Args:
      words: [..., 2] uint32, random bits of each row; the hash only has to mix within a row.
      columns: [n_columns] uint32, the numbers of the columns.
      number: uint32 scalar; another number makes other draws of the same columns.
    """
    return uniform_of_words(words[..., :1], words[..., 1:2], columns, number)


def uniform_of_words(first: Array, second: Array, columns: Array, number: Array) -> Array:
    """Return `uniform_rows`, given the two words [..., 1] of each row apart.

    Numbers of the same row below 1,024 and columns below 1,500,000 never share a counter.
    """
    counter = columns * jnp.uint32(0x9E3779B9) + number * jnp.uint32(0x85EBCA6B)
    counter = counter.reshape((1,) * (first.ndim - counter.ndim) + counter.shape)
    return _between_0_and_1(_scatter(_scatter(counter + first) ^ second))


def _of_columns(keys: Array, n_columns: int) -> Array:
    columns = jnp.arange(n_columns, dtype=jnp.uint32)
    return uniform_rows(jax.random.key_data(keys), columns, jnp.uint32(0))


def _between_0_and_1(bits: Array) -> Array:
    """Return the middles of 2^23 equal steps; with a 24th bit the last would round up to 1."""
    return ((bits >> 9).astype(jnp.float32) + 0.5) * jnp.float32(2**-23)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = jnp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _scatter(bits: Array) -> Array:
    """Map uint32 to uint32, one to one; every bit of the result depends on every bit."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    return bits ^ (bits >> 16)
