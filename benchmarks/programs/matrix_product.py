"""A large matrix product, as fast as the machine computes it at that moment: a worker.

Its command line:

    python -m benchmarks.programs.matrix_product --device cpu
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measuring import options
from benchmarks.programs.floor import FLOAT32
from benchmarks.programs.jax_program import use_device
from benchmarks.workers import alternating

_PRECISION = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "default"}


class Rate:
    """A warm product of the size of RPE1's decoder head, in a loop that reuses its output."""

    M, K, N = 2560, 400, 8749

    def __init__(self, device: str, precision: str, small: bool = False):
        """Draw the factors, compile, and warm up."""
        m, k, n = self.shape = (64, 16, 60) if small else (self.M, self.K, self.N)
        self.flop = 2.0 * m * k * n
        rng = np.random.default_rng(0)
        factors = (rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32))
        self.ways = {"jax": _jax_products(*factors, precision)}
        if device == "cpu":
            self.ways["numpy"] = _numpy_products(*factors)
        for way in self.ways.values():
            way(2)

    def run(self, k: int) -> dict[str, object]:
        """Multiply k times in each way; "seconds" is the faster one's time."""
        seconds = {name: way(k) for name, way in self.ways.items()}
        return {"seconds": [min(seconds.values())], "by": seconds}


def _numpy_products(left: np.ndarray, right: np.ndarray) -> Callable[[int], float]:
    """Return a function that multiplies k times and returns the seconds."""
    out = np.empty((left.shape[0], right.shape[1]), np.float32)

    def run(k: int) -> float:
        np.dot(left, right, out=out)
        start = time.perf_counter()
        for _ in range(k):
            np.dot(left, right, out=out)
        return time.perf_counter() - start

    return run


def _jax_products(left: np.ndarray, right: np.ndarray, precision: str) -> Callable[[int], float]:
    """Return a function that multiplies k times in one compiled loop and returns the seconds."""
    kind = jnp.bfloat16 if precision == "bf16" else jnp.float32
    factors = jax.device_put((jnp.asarray(left, kind), jnp.asarray(right, kind)))

    @jax.jit
    def loop(k, left, right):
        def body(_, out):  # a left factor that changes keeps the product inside the loop
            changed = left + (out[0, 0] * 1e-30).astype(kind)
            return jnp.matmul(
                changed, right, precision=_PRECISION[precision], preferred_element_type=jnp.float32
            )

        zeros = jnp.zeros((left.shape[0], right.shape[1]), jnp.float32)
        return jax.lax.fori_loop(0, k, body, zeros)[0, 0]

    def run(k: int) -> float:
        start = time.perf_counter()
        loop(k, *factors).block_until_ready()
        return time.perf_counter() - start

    return run


def bytes_per_s(n: int = 2**27) -> float:
    """Measure the memory's rate by c = a + s b over float32 arrays [n]: the best of ten."""
    triad = jax.jit(lambda a, b, c: a + 0.5 * b, donate_argnums=2, keep_unused=True)
    a, b, c = jnp.zeros(n), jnp.ones(n), jnp.full(n, 2.0)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        c = triad(a, b, c).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 3 * FLOAT32 * n / min(seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Multiply on request."""
    parser = options.parser_of(__doc__)
    options.add_device(parser)
    parser.add_argument("--small", action="store_true", help="a tiny product")
    args = parser.parse_args(arguments)
    use_device(args.device)
    rate = Rate(args.device, args.precision, args.small)
    n = 2**16 if args.small else 2**27 if args.device == "cuda" else 2**25
    ready = {"gflop": rate.flop / 1e9, "gb_per_s": bytes_per_s(n) / 1e9}
    alternating.serve(ready, rate.run, dict)


if __name__ == "__main__":
    main()
