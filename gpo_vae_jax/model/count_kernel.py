"""Counts drawn in one kernel of a GPU, where each block of numbers searches as long as it must.

A loop of XLA that depends on data has the host read after every round whether another one follows.
Inside a kernel the loop is the block's own. The counts are those of `count_sampling` on a CPU, up
to the rounding of probabilities, but for those whose search is too long: there both draw a
Gamma-Poisson mixture, each by a rejection of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gpo_vae_jax.model.count_search import search_of, searched, steps_of
from gpo_vae_jax.model.row_noise import normal_quantile, uniform_of_words
from gpo_vae_jax.types import Array

_SINCE = (0, 8, 0)  # the oldest JAX with which the kernel was interpreted and lowered
_CAPABILITY = 8.0  # of NVIDIA's devices, the lowest for which Triton compiles
_ROWS, _GENES = 8, 32  # of a block, which one warp draws; both powers of two
_SMALL = 30.0  # Poisson counts of a smaller rate are searched
_MOST_ROUNDS = 64  # of rejection: of 1e33 numbers one is not accepted
# Of the uniform numbers of the mixture: of one power, of the search, and the first of the rounds.
_POWER, _SEARCH, _GAMMA, _POISSON = 0, 1, 2, 256


def kernel_is_there() -> bool:
    """Return whether JAX computes on a GPU for which the kernel can be compiled."""
    if jax.default_backend() != "gpu" or jax.__version_info__ < _SINCE:
        return False
    capability = str(getattr(jax.devices()[0], "compute_capability", ""))
    try:
        return float(capability) >= _CAPABILITY
    except ValueError:  # no device of NVIDIA's
        return True


def counts_in_one_kernel(
    words: Array, mean: Array, concentration: Array | None, genes: Array
) -> Array:
    """Draw counts [N, G] float32: negative binomial, or Poisson without concentration.

    On a CPU the kernel is interpreted, slowly.

    Args:
      words: [N, 2] uint32, random bits of each row.
      mean: [N, G] expected counts.
      concentration: [G], or None.
      genes: [G] uint32, the number of each gene.
    """
    arrays = [words, mean, genes] + ([] if concentration is None else [concentration])
    return jax.lax.platform_dependent(
        *arrays, cpu=partial(_call, interpret=True), default=partial(_call, interpret=False)
    )


def _call(words: Array, mean: Array, *rest: Array, interpret: bool) -> Array:
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    shape = mean.shape
    rows, genes = _side(_ROWS, shape[0]), _side(_GENES, shape[1])
    n_along, n_across = -(-shape[0] // rows), -(-shape[1] // genes)

    def kernel(*refs: Any) -> None:
        """Draw one block; the last along an axis overlaps the one before."""
        words_ref, mean_ref, genes_ref, *concentration_ref, counts_ref = refs
        number = pallas.program_id(0)
        row = jnp.minimum(jax.lax.div(number, n_across) * rows, shape[0] - rows)
        gene = jnp.minimum(jax.lax.rem(number, n_across) * genes, shape[1] - genes)
        of_rows, of_genes = pallas.ds(row, rows), pallas.ds(gene, genes)
        columns = genes_ref[of_genes][None]
        first, second = (words_ref[of_rows, i][:, None] for i in (0, 1))
        uniform_of = partial(uniform_of_words, first, second, columns)
        concentration = concentration_ref[0][of_genes][None] if concentration_ref else None
        counts_ref[of_rows, of_genes] = _block(
            uniform_of, mean_ref[of_rows, of_genes], concentration
        )

    return pallas.pallas_call(
        kernel,
        out_shape=jax.ShapeDtypeStruct(shape, jnp.float32),
        grid=(n_along * n_across,),
        compiler_params=triton.CompilerParams(num_warps=1, num_stages=1),
        interpret=interpret,
        name="counts",
    )(words, mean, *rest)


def _side(most: int, n: int) -> int:
    """Return the side of a block along an axis of length n: a power of two."""
    return min(most, 1 << (n.bit_length() - 1))


def _block(uniform_of: Callable[[Array], Array], mean: Array, concentration: Array | None) -> Array:
    """Draw the counts [N, W] of one block."""
    search = search_of(mean, concentration)
    counts = searched(search, uniform_of, _any)
    return jnp.where(search.long, _mixed(uniform_of, mean, concentration, search.long), counts)


def _any(true: Array) -> Array:
    """Return whether any is true; kernels have no such reduction."""
    return jnp.max(true.astype(jnp.int32)) > 0


def _mixed(
    uniform_of: Callable[[Array], Array],
    mean: Array,
    concentration: Array | None,
    wanted: Array,
) -> Array:
    """Draw Gamma-Poisson (or Poisson) counts [N, W] where they are wanted."""
    rate = mean
    if concentration is not None:
        rate = _gamma(uniform_of, concentration, wanted) * (mean / concentration)
    small = jnp.where(wanted & (rate < _SMALL), rate, 0)
    uniform = jnp.where(small > 0, uniform_of(jnp.uint32(_SEARCH)), 0)
    few = steps_of(uniform, jnp.exp(-small), small, jnp.zeros_like(small), small, _any)
    large = wanted & (rate >= _SMALL)
    return jnp.where(large, _poisson(uniform_of, rate, large), few)


def _rounds(propose: Callable[[Array], tuple[Array, Array]], wanted: Array) -> Array:
    """Return the first accepted proposal of each number that is wanted, [N, W].

    Args:
      propose: returns proposals and whether they are accepted, of a round's number.
      wanted: [N, W].
    """

    def body(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        number, waiting, values = state
        proposed, accepted = propose(number.astype(jnp.uint32))
        return number + 1, waiting & ~accepted, jnp.where(waiting, proposed, values)

    def goes_on(state: tuple[Array, Array, Array]) -> Array:
        return (state[0] < _MOST_ROUNDS) & _any(state[1])

    start = (jnp.int32(0), wanted, jnp.zeros(wanted.shape, jnp.float32))
    return jax.lax.while_loop(goes_on, body, start)[2]


def _gamma(uniform_of: Callable[[Array], Array], shape: Array, wanted: Array) -> Array:
    """Draw Gamma(shape, 1) numbers [N, W] by the rejection of Marsaglia and Tsang (2000)."""
    d = jnp.where(shape < 1, shape + 1, shape) - 1 / 3
    c = jax.lax.rsqrt(9 * d)

    def propose(number: Array) -> tuple[Array, Array]:
        first = _GAMMA + 2 * number
        x = normal_quantile(uniform_of(first))
        t = c * x
        w = t * (3 + t * (3 + t))  # (1 + t)^3 - 1
        bound = x * x / 2 + d * (jnp.log1p(jnp.maximum(w, -1)) - w)
        return d * (1 + w), (t > -1) & (jnp.log(uniform_of(first + 1)) < bound)

    drawn = _rounds(propose, wanted)
    power = jnp.exp(jnp.log(uniform_of(jnp.uint32(_POWER))) / shape)
    return drawn * jnp.where(shape < 1, power, 1)


def _poisson(uniform_of: Callable[[Array], Array], rate: Array, wanted: Array) -> Array:
    """Draw Poisson counts [N, W] of large rates by the rejection of Hörmann (1993), PTRS."""
    rate = jnp.where(wanted, rate, _SMALL)
    b = 0.931 + 2.53 * jnp.sqrt(rate)
    a = -0.059 + 0.02483 * b
    log_scale = jnp.log(1.1239 + 1.1328 / (b - 3.4))
    quick = 0.9277 - 3.6224 / (b - 2)

    def propose(number: Array) -> tuple[Array, Array]:
        first = _POISSON + 2 * number
        u, v = uniform_of(first) - 0.5, uniform_of(first + 1)
        us = 0.5 - jnp.abs(u)
        k = jnp.floor((2 * a / us + b) * u + rate + 0.43)
        bound = _log_poisson(jnp.maximum(k, 1), rate)
        inside = (k >= 1) & ((us >= 0.013) | (v <= us))
        passes = jnp.log(v) + log_scale - jnp.log(a / (us * us) + b) <= bound
        return k, ((us >= 0.07) & (v <= quick)) | (inside & passes)

    return _rounds(propose, wanted)


def _log_poisson(k: Array, rate: Array) -> Array:
    """Return log p(k) of Poisson counts k >= 1 by Stirling's series, without cancellation."""
    x = (k - rate) / rate
    deviance = rate * ((1 + x) * jnp.log1p(x) - x)
    series = 1 / (12 * k) - 1 / (360 * k * k * k)
    return -deviance - 0.5 * jnp.log(2 * jnp.pi * k) - series
