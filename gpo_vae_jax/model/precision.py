"""Precision of matrix products: `config.train.precision` on each backend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import ParamSpec, TypeVar

import jax

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.blocks import on_cpu

_NAMES = {"float32": "float32", "tf32": "tensorfloat32", "bf16": "bfloat16"}  # jax's
_BF16_ON_GPU = "BF16_BF16_F32"  # "bfloat16" means TF32 there
_NAMES_IT = (0, 4, 36)  # the first JAX that accepts this name
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
    if precision == "bf16" and not on_cpu():
        if jax.__version_info__ < _NAMES_IT:
            raise ConfigError(
                f"config.train.precision='bf16' needs jax 0.4.36 or newer on a GPU, and this is "
                f"jax {jax.__version__}: set config.train.precision='tf32'"
            )
        name = _BF16_ON_GPU
    return jax.default_matmul_precision(name)


def exact_products(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Trace the matrix products of a function in float32; the default of a GPU is TF32."""

    @wraps(function)
    def traced(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        with products_at("float32"):
            return function(*args, **kwargs)

    return traced
