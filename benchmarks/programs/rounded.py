"""Round the factors of matrix products on a CPU as a GPU's TF32 and bfloat16 units do.

A CPU multiplies in float32 whatever precision a product requests. `rounded(function)` traces a
function, gradients and loops included, and runs it with the factors of each product rounded to the
requested precision. Sums stay float32, as on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax

try:
    from jax.extend.core import ClosedJaxpr, Literal
except ImportError:  # jax 0.4.25, of the CUDA 11 set
    from jax.core import ClosedJaxpr, Literal

MANTISSA_BITS = {lax.Precision.HIGH: 10, lax.Precision.DEFAULT: 7}  # TF32, bfloat16
_INNER = ("call_jaxpr", "fun_jaxpr", "call")  # of a function with custom derivatives or vmap


def rounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with the same arguments and results, and rounded products.

    Do not differentiate it: the products of that gradient would be exact.
    """

    def run(*args: Any) -> Any:
        jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        results = _evaluate(jaxpr, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return run


def bits_of(precision: Any) -> int | None:
    """Return the mantissa bits that a product's factors keep; None: all 23."""
    if isinstance(precision, tuple):
        precision = precision[0]
    return MANTISSA_BITS.get(precision)


def _evaluate(jaxpr: ClosedJaxpr, args: Sequence[Any]) -> list[Any]:
    """Run the operations of a traced function in order."""
    values = dict(zip(jaxpr.jaxpr.constvars, jaxpr.consts, strict=True))
    values |= zip(jaxpr.jaxpr.invars, args, strict=True)

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.jaxpr.eqns:
        results = _apply(equation, [read(atom) for atom in equation.invars])
        values |= zip(equation.outvars, results, strict=True)
    return [read(atom) for atom in jaxpr.jaxpr.outvars]


def _apply(equation: Any, args: list[Any]) -> Sequence[Any]:
    params = equation.params
    for name in _INNER:
        if name in params:
            return _evaluate(_closed(params[name]), args)
    if equation.primitive.name == "dot_general":
        bits = bits_of(params["precision"])
        if bits is not None:
            args = [lax.reduce_precision(a, exponent_bits=8, mantissa_bits=bits) for a in args]
    converted = {name: _converted(value) for name, value in params.items()}
    results = equation.primitive.bind(*args, **converted)
    return results if equation.primitive.multiple_results else [results]


def _converted(value: Any) -> Any:
    """Round inside the bodies of loops, branches and calls as well."""
    if isinstance(value, tuple) and any(isinstance(part, ClosedJaxpr) for part in value):
        return tuple(_converted(part) for part in value)
    if not isinstance(value, ClosedJaxpr):
        return value
    return jax.make_jaxpr(lambda *args: _evaluate(value, args))(*value.in_avals)


def _closed(jaxpr: Any) -> ClosedJaxpr:
    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())
