"""The floor under a step's time: the matrix products that the mathematics needs, at machine speed.

    python benchmarks/floor.py     (the products of each shape)
    python benchmarks/floor.py --rate --device cpu     (the machine's rate beside them)
    python benchmarks/floor.py --worker     (for benchmarks/alternating.py)

A product [m, k] x [k, n] takes 2 m k n operations; going backward takes two more of the same size,
one for each factor, or one where the left factor is data. Counted are products of shapes that no
rewriting avoids: effects once per treatment instead of once per cell, counts once per cell instead
of once per particle. A cell without a perturbation needs no path, one without a counterfactual no
second posterior. Rows of E and M are counted for all R perturbations: a step that leaves out those
no cell of its batch asks for does less (less than a fifth of the count at the published shapes).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import alternating, shapes  # noqa: E402
from benchmarks.cells import CONTROL_SHARE, NO_COUNTERFACTUAL  # noqa: E402
from benchmarks.shapes import SHAPES, Shape  # noqa: E402

PASSES, PARAMETER_ARRAYS = 6, 7  # see `traffic_bytes`
FLOAT32 = 4  # bytes


class Product(NamedTuple):
    """Hold one matrix product of a step."""

    part: str  # of the step, as in benchmarks/profile_step.py
    name: str
    m: float
    k: float
    n: float
    times: float = 1  # how often it is needed in a step
    backward: int = 2  # products of the same size that its gradient needs

    @property
    def forward_flop(self) -> float:
        """Count the operations going forward."""
        return 2 * self.m * self.k * self.n * self.times

    @property
    def flop(self) -> float:
        """Count the operations forward and backward."""
        return self.forward_flop * (1 + self.backward)


def products(shape: Shape, batch_size: int | None = None, n_particles: int | None = None):
    """List the matrix products of a step (logits, concatenated latents)."""
    config = shapes.published(shape, batch_size, n_particles)
    model, b, p = config.model, config.train.batch_size, config.train.n_particles
    g, t, r, latent = shape.genes, shape.treatments, shape.perturbed, model.n_latent
    deep, n_deep = model.embedding_encoder_n_hidden, model.embedding_encoder_n_layers
    basal, n_basal = model.basal_encoder_n_hidden, model.basal_encoder_n_layers
    hidden, hop = model.decoder_n_hidden, config.objective.hop
    told = b * (1 - NO_COUNTERFACTUAL)  # cells with a counterfactual
    reached = min(r, b * (1 - CONTROL_SHARE))  # rows whose paths are followed
    return [
        Product("embedding encoder", "M into layer 1", p * r, t, deep, 2),
        Product("embedding encoder", "later layers", p * r, deep, deep, 2 * (n_deep - 1)),
        Product("embedding encoder", "mean and variance of E", p * r, deep, t, 2 * 2),
        Product("basal encoder", "counts into layer 1", b, g, basal, backward=1),
        Product("basal encoder", "effects into layer 1", p * r, t, basal),
        Product("basal encoder", "later layers", p * b, basal, basal, n_basal - 1),
        Product("basal encoder", "mean and variance of z", p * b, basal, latent, 2),
        Product("basal encoder", "counterfactual counts into layer 1", told, g, basal, backward=1),
        Product("counterfactual", "effects into layer 1", p * r, t, basal),
        Product("counterfactual", "later layers", p * told, basal, basal, 2 * (n_basal - 1)),
        Product("counterfactual", "mean and variance of z", p * told, basal, latent, 2 * 2),
        Product("decoder hidden", "z into layer 1", p * b, latent, hidden),
        Product("decoder hidden", "effects into layer 1", p * r, t, hidden),
        Product("decoder hidden", "later layers", p * b, hidden, hidden, model.decoder_n_layers),
        Product("decoder head", "logits of all genes", p * b, hidden, g),
        Product("network alignment", "paths of up to hop + 1 edges", reached, t, t, hop),
    ]


def flop(shape: Shape, batch_size: int | None = None, n_particles: int | None = None) -> float:
    """Count the operations of a step's products, forward and backward."""
    return sum(product.flop for product in products(shape, batch_size, n_particles))


def n_parameters(shape: Shape) -> int:
    """Count the trainable numbers of the published model of a shape."""
    model = shapes.published(shape).model
    g, t, latent = shape.genes, shape.treatments, model.n_latent

    def dense(inputs: int, outputs: int) -> int:
        return (inputs + 1) * outputs

    def mlp(inputs: int, width: int, layers: int) -> int:
        return dense(inputs, width) + (layers - 1) * dense(width, width)

    deep = (model.embedding_encoder_n_hidden, model.embedding_encoder_n_layers)
    basal = (model.basal_encoder_n_hidden, model.basal_encoder_n_layers)
    decoder = (model.decoder_n_hidden, model.decoder_n_layers + 1)
    return (
        t * t
        + mlp(2 * t, *deep) + 2 * dense(deep[0], t)
        + mlp(latent, *deep) + 2 * dense(deep[0], latent)
        + mlp(g + t + latent, *basal) + 2 * dense(basal[0], latent)
        + mlp(latent + t + latent, *decoder) + dense(decoder[0], g) + g
    )  # fmt: skip


def traffic_bytes(
    shape: Shape, batch_size: int | None = None, n_particles: int | None = None
) -> float:
    """Estimate the bytes that a step moves through a GPU's memory at the least.

    Six passes over [P, B, G] in float32 (the head's logits are written, read for the softmax and
    for the likelihood; their gradient is written, and read for both products), and seven over the
    parameters (parameter and both moments read and written, gradient read).
    """
    config = shapes.published(shape, batch_size, n_particles)
    cells = config.train.n_particles * config.train.batch_size * shape.genes
    return FLOAT32 * (PASSES * cells + PARAMETER_ARRAYS * n_parameters(shape))


def floor_s(
    shape: Shape,
    flop_per_s: float,
    bytes_per_s: float | None = None,
    batch_size: int | None = None,
    n_particles: int | None = None,
) -> float:
    """Return the floor in seconds: products alone, or the slower of products and memory traffic."""
    least = flop(shape, batch_size, n_particles) / flop_per_s
    if bytes_per_s is None:
        return least
    return max(least, traffic_bytes(shape, batch_size, n_particles) / bytes_per_s)


class Rate:
    """Hold a warm product of the size of RPE1's head, in a loop that reuses the output's memory."""

    M, K, N = 2560, 400, 8749

    def __init__(self, device: str, precision: str, small: bool = False):
        """Make the factors, and compile where it is not NumPy's product."""
        self.shape = (64, 16, 60) if small else (self.M, self.K, self.N)
        self.flop = 2.0 * np.prod(self.shape)
        rng, (m, k, n) = np.random.default_rng(0), self.shape
        self.left = rng.standard_normal((m, k), np.float32)
        self.right = rng.standard_normal((k, n), np.float32)
        self.ways: dict[str, Callable[[int], float]] = {
            "jax": _jax_products(self, device, precision)
        }
        if device == "cpu":
            self.ways["numpy"] = self._numpy_products
        for way in self.ways.values():
            way(2)

    def run(self, k: int) -> dict[str, object]:
        """Multiply k times by each way; count the faster one."""
        seconds = {name: way(k) for name, way in self.ways.items()}
        return {"seconds": [min(seconds.values())], "by": seconds}

    def _numpy_products(self, k: int) -> float:
        out = np.empty((self.shape[0], self.shape[2]), np.float32)
        np.dot(self.left, self.right, out=out)
        start = time.perf_counter()
        for _ in range(k):
            np.dot(self.left, self.right, out=out)
        return time.perf_counter() - start


def _jax_products(rate: Rate, device: str, precision: str) -> Callable[[int], float]:
    """Return a function that multiplies k times in one compiled loop and gives the seconds."""
    import jax
    import jax.numpy as jnp

    from benchmarks.jax_program import use_device

    use_device(device)
    kind = jnp.bfloat16 if precision == "bf16" else jnp.float32
    exact = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "default"}[precision]
    left, right = jax.device_put((jnp.asarray(rate.left, kind), jnp.asarray(rate.right, kind)))

    @jax.jit
    def loop(k, left, right):
        def body(_, out):  # a left factor that changes: the product cannot leave the loop
            changed = left + (out[0, 0] * 1e-30).astype(kind)
            return jnp.matmul(changed, right, precision=exact, preferred_element_type=jnp.float32)

        zeros = jnp.zeros((left.shape[0], right.shape[1]), jnp.float32)
        return jax.lax.fori_loop(0, k, body, zeros)[0, 0]

    def run(k: int) -> float:
        start = time.perf_counter()
        loop(k, left, right).block_until_ready()
        return time.perf_counter() - start

    return run


def bytes_per_s(device: str, n: int = 2**27) -> float:
    """Measure how fast the device moves memory: c = a + s b over float32 arrays, best of ten."""
    import jax
    import jax.numpy as jnp

    from benchmarks.jax_program import use_device

    use_device(device)
    triad = jax.jit(lambda a, b, c: a + 0.5 * b, donate_argnums=2, keep_unused=True)
    a, b, c = jnp.zeros(n), jnp.ones(n), jnp.full(n, 2.0)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        c = triad(a, b, c).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 3 * FLOAT32 * n / min(seconds)


def table(shape: Shape) -> str:
    """Write the products of a shape, and their sum, as a table in Markdown."""
    rows = ["| part | product | m x k x n | times | GFLOP forward | with backward |"]
    rows.append("|---|---|---|---|---|---|")
    for p in products(shape):
        if p.times:
            size = f"{p.m:,.0f} x {p.k:,.0f} x {p.n:,.0f}"
            rows.append(
                f"| {p.part} | {p.name} | {size} | {p.times:g} | {p.forward_flop / 1e9:.2f} "
                f"| {p.flop / 1e9:.2f} |"
            )
    forward = sum(p.forward_flop for p in products(shape))
    rows.append(f"| all | | | | {forward / 1e9:.1f} | {flop(shape) / 1e9:.1f} |")
    return "\n".join(rows)


def main() -> None:
    """Print the counts, or serve as a worker that multiplies."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--worker", action="store_true", help="multiply when told to")
    parser.add_argument("--rate", action="store_true", help="measure the machine's rate")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "tf32", "bf16"), default="float32")
    parser.add_argument("--small", action="store_true", help="a tiny product")
    asked = parser.parse_args()
    if asked.worker:
        rate = Rate(asked.device, asked.precision, asked.small)
        n = 2**16 if asked.small else 2**27 if asked.device == "cuda" else 2**25
        ready = {"gflop": rate.flop / 1e9, "gb_per_s": bytes_per_s(asked.device, n) / 1e9}
        alternating.serve(ready, rate.run, dict)
        return
    for shape in SHAPES.values():
        print(f"{shape.name}, {n_parameters(shape):,} parameters\n\n{table(shape)}\n")
    if asked.rate:
        rate = Rate(asked.device, asked.precision, asked.small)
        found = min((rate.run(10) for _ in range(3)), key=lambda answer: answer["seconds"])
        gflop = {name: 10 * rate.flop / s / 1e9 for name, s in found["by"].items()}
        print(json.dumps({"gflop_per_s": gflop}))


if __name__ == "__main__":
    main()
