"""The floor under a step's time: the matrix products that the mathematics needs.

A product [m, k] x [k, n] takes 2 m k n operations. Its gradient takes two more products of the same
size, one for each factor, or one if the left factor is data. Only products that no rewriting avoids
are counted: effects once per treatment instead of once per cell, counts once per cell instead of
once per particle. A control cell needs no path, a cell without a counterfactual no second
posterior. Rows of E and M are counted for all R perturbations: a step that skips the rows that its
batch does not meet does less (by less than a fifth at the published shapes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.inputs import shapes
from benchmarks.inputs.cells import CONTROL_SHARE, NO_COUNTERFACTUAL
from benchmarks.inputs.shapes import Shape
from gpo_vae_jax.spec import Spec

PASSES, PARAMETER_ARRAYS = 6, 7  # see `traffic_bytes`
FLOAT32 = 4  # bytes


class Product(NamedTuple):
    """One matrix product of a step."""

    part: str  # of the step, as in programs/step_parts.py
    name: str
    m: float
    k: float
    n: float
    times: float = 1  # in a step
    backward: int = 2  # products of the same size in its gradient

    @property
    def forward_flop(self) -> float:
        """Count the operations of the forward pass."""
        return 2 * self.m * self.k * self.n * self.times

    @property
    def flop(self) -> float:
        """Count the operations of both passes."""
        return self.forward_flop * (1 + self.backward)


def products(
    shape: Shape, batch_size: int | None = None, n_particles: int | None = None
) -> list[Product]:
    """List the matrix products of a step (logits, concatenated latents)."""
    config = shapes.published(shape, batch_size, n_particles)
    model, b, p = config.model, config.train.batch_size, config.train.n_particles
    g, t, r, latent = shape.genes, shape.treatments, shape.perturbed, model.n_latent
    deep, n_deep = model.embedding_encoder_n_hidden, model.embedding_encoder_n_layers
    basal, n_basal = model.basal_encoder_n_hidden, model.basal_encoder_n_layers
    hidden, hop = model.decoder_n_hidden, config.objective.hop
    paired = b * (1 - NO_COUNTERFACTUAL)  # cells with a counterfactual
    reached = min(r, b * (1 - CONTROL_SHARE))  # rows whose paths are followed
    return [
        Product("embedding encoder", "M into layer 1", p * r, t, deep, 2),
        Product("embedding encoder", "later layers", p * r, deep, deep, 2 * (n_deep - 1)),
        Product("embedding encoder", "mean and variance of E", p * r, deep, t, 2 * 2),
        Product("basal encoder", "counts into layer 1", b, g, basal, backward=1),
        Product("basal encoder", "effects into layer 1", p * r, t, basal),
        Product("basal encoder", "later layers", p * (b + paired), basal, basal, n_basal - 1),
        Product("basal encoder", "mean and variance of z", p * (b + paired), basal, latent, 2),
        Product(
            "basal encoder", "counterfactual counts into layer 1", paired, g, basal, backward=1
        ),
        Product("counterfactual", "effects into layer 1", p * r, t, basal),
        Product("counterfactual", "later layers", p * paired, basal, basal, n_basal - 1),
        Product("counterfactual", "mean and variance of z", p * paired, basal, latent, 2),
        Product("decoder hidden", "z into layer 1", p * b, latent, hidden),
        Product("decoder hidden", "effects into layer 1", p * r, t, hidden),
        Product("decoder hidden", "later layers", p * b, hidden, hidden, model.decoder_n_layers),
        Product("decoder head", "logits of all genes", p * b, hidden, g),
        Product("network alignment", "paths of up to hop + 1 edges", reached, t, t, hop),
    ]


def products_of_accurate(spec: Spec) -> list[Product]:
    """List the matrix products of a step of the accurate model.

    Effects travel and are read out once for every treatment and sample of the network. The first
    step along the edges is no product, and the change of a network gene is its own.
    """
    model, train, s = spec.model, spec.train, spec.sizes
    b, p, g, t = train.batch_size, train.n_particles, s.n_genes, s.n_treatments
    n = min(train.network_samples or p, p)
    r = min(s.n_perturbed, b * (1 - CONTROL_SHARE))
    basal, hidden, latent = model.basal_encoder_n_hidden, model.decoder_n_hidden, model.n_latent
    others = g - sum(place >= 0 for place in s.network_genes)
    return [
        Product("propagation", "changes along the edges", n * r, t, t, max(model.propagate - 1, 0)),
        Product("propagation", "readout of other genes", n * r, t, others),
        Product("basal encoder", "counts into layer 1", b, g, basal, backward=1),
        Product("basal encoder", "effects into layer 1", n * r, t, basal),
        Product(
            "basal encoder", "later layers", n * b, basal, basal, model.basal_encoder_n_layers - 1
        ),
        Product("basal encoder", "mean and variance of z", n * b, basal, latent, 2),
        Product("decoder hidden", "z into layer 1", p * b, latent, hidden),
        Product("decoder hidden", "later layers", p * b, hidden, hidden, model.decoder_n_layers),
        Product("decoder head", "logits of all genes", p * b, hidden, g),
    ]


def flop(shape: Shape, batch_size: int | None = None, n_particles: int | None = None) -> float:
    """Count the operations of a step's products, forward and backward."""
    return sum(product.flop for product in products(shape, batch_size, n_particles))


def n_parameters(shape: Shape) -> int:
    """Count the parameters of a shape's published model."""
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
    """Estimate the fewest bytes that a step moves through a GPU's memory.

    Six passes over [P, B, G] in float32: the head's logits are written, and read for the softmax
    and for the likelihood; their gradient is written, and read for both products. Seven passes over
    the parameters: parameter and both moments are read and written, the gradient is read.
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
    """Return the floor in seconds: the products', or the memory traffic's where that is longer."""
    least = flop(shape, batch_size, n_particles) / flop_per_s
    if bytes_per_s is None:
        return least
    return max(least, traffic_bytes(shape, batch_size, n_particles) / bytes_per_s)


def table(products: Sequence[Product]) -> str:
    """Return products, and their sum, as a Markdown table."""
    rows = ["| part | product | m x k x n | times | GFLOP forward | with backward |"]
    rows.append("|---|---|---|---|---|---|")
    for p in products:
        if p.times:
            size = f"{p.m:,.0f} x {p.k:,.0f} x {p.n:,.0f}"
            rows.append(
                f"| {p.part} | {p.name} | {size} | {p.times:g} | {p.forward_flop / 1e9:.2f} "
                f"| {p.flop / 1e9:.2f} |"
            )
    forward, both = (sum(getattr(p, of) for p in products) for of in ("forward_flop", "flop"))
    rows.append(f"| all | | | | {forward / 1e9:.1f} | {both / 1e9:.1f} |")
    return "\n".join(rows)
