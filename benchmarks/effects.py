r"""Measure average treatment effects at RPE1 size: time and peak memory, with random parameters.

    python benchmarks/effects.py --quick     (50 particles)
    python benchmarks/effects.py     (2,500 particles, minutes)

The result is printed and, but for --quick, goes into benchmarks/results/effects.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import machine  # noqa: E402
from configs import rpe1  # noqa: E402
from gpo_vae_jax import config_io  # noqa: E402
from gpo_vae_jax.config import ModelConfig  # noqa: E402
from gpo_vae_jax.evaluate.effects import model_effects, sampling  # noqa: E402
from gpo_vae_jax.model import init_params  # noqa: E402
from gpo_vae_jax.predict.sampling import Draw, Trained  # noqa: E402
from gpo_vae_jax.types import Sizes  # noqa: E402

SIZES = Sizes(n_genes=8749, n_treatments=655, n_perturbed=383)
LIMIT_GIB, LIMIT_S = 8.0, 360.0


def main() -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="50 particles")
    parser.add_argument("--output", type=Path, help="file for the result")
    parser.add_argument("--memory_gib", type=float, default=2.0, help="of one chunk")
    parser.add_argument("--genes", type=int, default=SIZES.n_genes)
    asked = parser.parse_args()
    n_particles = 50 if asked.quick else 2500
    result = {"machine": machine.describe(), "device": str(jax.devices()[0])}
    result |= measure(n_particles, asked.memory_gib, asked.genes)
    kept = None if asked.quick else ROOT / "benchmarks" / "results" / "effects.json"
    target = asked.output or kept
    if target:
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measure(n_particles: int, memory_gib: float, n_genes: int) -> dict:
    """Compute effects of all perturbations; give seconds, counts drawn and the peak."""
    sizes = Sizes(n_genes, SIZES.n_treatments, SIZES.n_perturbed)
    trained = random_model(config_io.from_config_dict(rpe1.get_config()).model, sizes)
    names = [str(i) for i in range(sizes.n_treatments)]
    conditions = sampling.conditions_of([(n,) for n in names[: sizes.n_perturbed]], names)
    draw = Draw(n_particles=n_particles, memory_gib=memory_gib)
    before = time.perf_counter()
    model_effects.model_effects(trained, conditions, draw._replace(n_particles=1), progress=False)
    compiled = time.perf_counter()
    cpu = time.process_time()
    model_effects.model_effects(trained, conditions, draw)
    seconds = time.perf_counter() - compiled
    n_counts = n_particles * (sizes.n_perturbed + 1) * n_genes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "genes": n_genes,
        "treatments": sizes.n_treatments,
        "perturbations": sizes.n_perturbed,
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


def random_model(config: ModelConfig, sizes: Sizes) -> Trained:
    """Draw parameters; means of genes are spread log-normally, as in cells, dispersions too."""
    params = init_params(jax.random.key(0), config, sizes)
    rng = np.random.default_rng(0)
    decoder = dict(params["decoder"])
    bias = jnp.asarray(rng.normal(0, 1.35, sizes.n_genes), jnp.float32)
    decoder["output"] = {**decoder["output"], "bias": bias}
    decoder["log_concentration"] = jnp.asarray(rng.normal(1, 0.7, sizes.n_genes), jnp.float32)
    return Trained({**params, "decoder": decoder}, config, sizes)


if __name__ == "__main__":
    main()
