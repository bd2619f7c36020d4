r"""Measure average treatment effects at RPE1 size: time and peak memory, with random parameters.

    python -m benchmarks.effects --quick     (50 particles)
    python -m benchmarks.effects     (2,500 particles, minutes)

The result is printed. Without --quick it also goes into benchmarks/results/effects.json.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import shapes
from benchmarks.measuring import memory, options, results_file
from gpo_vae_jax.evaluate.effects import model_effects
from gpo_vae_jax.model import init_params
from gpo_vae_jax.predict.conditions import conditions_of
from gpo_vae_jax.predict.sampling import Draw
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Params

SHAPE = shapes.SHAPES["rpe1"]
LIMIT_GIB, LIMIT_S = 8.0, 360.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--memory-gib", type=float, default=2.0, help="of one chunk")
    parser.add_argument("--genes", type=int, default=SHAPE.genes)
    parser.add_argument("--perturbed", type=int, default=SHAPE.perturbed)
    args = options.parsed(parser, arguments)
    shape = shapes.scaled(SHAPE, genes=args.genes, perturbed=args.perturbed)
    result = measure(shape, 50 if args.quick else 2500, args.memory_gib)
    results_file.add(results_file.folder_of(args), "effects", result)


def measure(shape: shapes.Shape, n_particles: int, memory_gib: float) -> dict[str, Any]:
    """Compute the effects of all perturbations; return seconds, counts drawn and peak memory."""
    spec = shapes.spec_of(shape).of_model
    params = random_params(spec)
    names = [str(i) for i in range(shape.treatments)]
    conditions = conditions_of([(n,) for n in names[: shape.perturbed]], names)
    draw = Draw(n_particles=n_particles, memory_gib=memory_gib)
    before = time.perf_counter()
    one = draw._replace(n_particles=1)
    model_effects.model_effects(params, conditions, one, spec=spec, progress=False)
    compiled = time.perf_counter()
    cpu = time.process_time()
    model_effects.model_effects(params, conditions, draw, spec=spec)
    seconds = time.perf_counter() - compiled
    n_counts = n_particles * (shape.perturbed + 1) * shape.genes
    peak = memory.peak_gib()
    return {
        "device": str(jax.devices()[0]),
        "genes": shape.genes,
        "treatments": shape.treatments,
        "perturbations": shape.perturbed,
        "particles": n_particles,
        "memory_gib": memory_gib,
        "compile_s": round(compiled - before, 1),
        "seconds": round(seconds, 1),
        "processor_seconds": round(time.process_time() - cpu, 1),
        "counts_drawn": n_counts,
        "ns_per_count": round(seconds / n_counts * 1e9, 2),
        "seconds_of_2500_particles": round(seconds * 2500 / n_particles, 1),
        "peak_gib": round(peak, 2),
        "within_limits": peak <= LIMIT_GIB and seconds * 2500 / n_particles <= LIMIT_S,
    }


def random_params(spec: Spec) -> Params:
    """Draw parameters; gene means and dispersions are log-normal, as in real cells."""
    params = init_params(jax.random.key(0), spec)
    rng, n_genes = np.random.default_rng(0), spec.sizes.n_genes
    decoder = dict(params["decoder"])
    bias = jnp.asarray(rng.normal(0, 1.35, n_genes), jnp.float32)
    decoder["output"] = {**decoder["output"], "bias": bias}
    decoder["log_concentration"] = jnp.asarray(rng.normal(1, 0.7, n_genes), jnp.float32)
    return {**params, "decoder": decoder}


if __name__ == "__main__":
    main()
