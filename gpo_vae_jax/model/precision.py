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
# On a GPU "tensorfloat32" asks for three products of bfloat16 halves, and "bfloat16" for TF32.
_ON_GPU = {"tf32": "TF32_TF32_F32", "bf16": "BF16_BF16_F32"}
_NAMES_THEM = (0, 4, 36)  # the first JAX that accepts these names
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


def exact_products(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Trace the matrix products of a function in float32; the default of a GPU is TF32."""

    @wraps(function)
    def traced(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        with products_at("float32"):
            return function(*args, **kwargs)

    return traced
