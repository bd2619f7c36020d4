"""Precision of matrix products: `config.train.precision` on each backend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.types import Array

_NAMES = {"float32": "float32", "tf32": "tensorfloat32", "bf16": "bfloat16"}  # jax's
# On a GPU "tensorfloat32" asks for three products of bfloat16 halves, and "bfloat16" for TF32.
_ON_GPU = {"tf32": "TF32_TF32_F32", "bf16": "BF16_BF16_F32"}
_NAMES_THEM = (0, 4, 36)  # the first JAX that accepts these names
# Types of 16 bits with as many digits as products at these precisions read.
_AS_READ = {"TF32_TF32_F32": jnp.float16, "BF16_BF16_F32": jnp.bfloat16}
_LARGEST = 60_000.0  # float16 ends at 65,504
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def products_at(precision: str) -> AbstractContextManager[None]:
    """Return the context in which matrix products are traced at a precision.

    Args:
      precision: "float32", "tf32" or "bf16": what factors are rounded to on a GPU. Sums are always
        float32, and so is everything on a CPU.

    Raises:
      ConfigError: "bf16" on a GPU with a JAX that is too old for it.
    """
    name = _NAMES[precision]
    if precision in _ON_GPU and not on_cpu():
        if jax.__version_info__ >= _NAMES_THEM:
            name = _ON_GPU[precision]
        elif precision == "bf16":
            raise ConfigError(
                f"config.train.precision='bf16' needs jax 0.4.36 or newer on a GPU, and this is "
                f"jax {jax.__version__}: set config.train.precision='tf32'"
            )
    return jax.default_matmul_precision(name)


def as_read(factor: Array, *, standardised: bool = False) -> Array:
    """Return a factor of products with as many digits as they read: it then takes 16 bits.

    On a GPU, that is, at "tf32" or "bf16". For "tf32" the type with as many digits has a smaller
    range, so that only standardised numbers are kept in it.

    Args:
      factor: of matrix products, and used for nothing else.
      standardised: whether an error of 3e-8 does not matter, and numbers may end at 60,000.
    """
    asked = jax.config.jax_default_matmul_precision  # pyrefly: ignore
    kind = _AS_READ.get(str(asked))
    if kind == jnp.float16:
        if not standardised:
            return factor
        factor = jnp.clip(factor, -_LARGEST, _LARGEST)
    return factor if kind is None else factor.astype(kind).astype(factor.dtype)


def exact_products(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Trace the matrix products of a function in float32; the default of a GPU is TF32."""

    @wraps(function)
    def traced(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        with products_at("float32"):
            return function(*args, **kwargs)

    return traced
