"""Measure a step of the accurate model beside one of the published model, of one shape and batch.

    python -m benchmarks.models --quick     (tiny, a minute)
    python -m benchmarks.models     (RPE1, batch 512, 5 particles; minutes)

Both take turns in one process. The result is printed. Without --quick it also goes into
benchmarks/results/models.json.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import shapes
from benchmarks.inputs.shapes import Shape
from benchmarks.measuring import memory, options, results_file
from benchmarks.measuring.summary import ratio, summary, to_stderr
from benchmarks.programs import floor
from benchmarks.programs import jax_program as program
from gpo_vae_jax import presets
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Sizes

CELLS, LATENT, WIDTHS = 2048, 20, (256, 128)  # widths of the cell encoder and of the decoder


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    options.add_shape(parser)
    options.add_rounds(parser, 7)
    args = options.parsed(parser, arguments)
    shape = shapes.SHAPES["tiny" if args.quick else args.shape]
    entry = measure(shape, args.rounds)
    results_file.add(results_file.folder_of(args), "models", entry, ("shape",))


def measure(shape: Shape, rounds: int) -> dict[str, Any]:
    """Time a step of each model, alternating; return seconds, their ratio and memory."""
    specs = {"published": shapes.spec_of(shape), "accurate": accurate_spec(shape)}
    batch = specs["published"].train.batch_size
    n_cells = max(CELLS, batch)
    split = jax.device_put(program.split_of(shape, n_cells))
    rows = jnp.asarray(np.random.default_rng(0).permutation(n_cells)[:batch][None], jnp.int32)
    steps, states, compiled_s, temporary = {}, {}, {}, {}
    for name, spec in specs.items():
        states[name] = program.initial(spec)
        start = time.perf_counter()
        steps[name] = program.compiled_steps(states[name], split, 1, batch, spec=spec)
        compiled_s[name] = round(time.perf_counter() - start, 1)
        temporary[name] = program.temporary_gib(steps[name])
    seconds: dict[str, list[float]] = {name: [] for name in specs}
    for number in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            states[name], _ = jax.block_until_ready(
                step(states[name], split, rows, jnp.int32(number))
            )
            if number:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
        to_stderr(f"round {number} of {rounds}")
    summaries = {name: summary(values) for name, values in seconds.items()}
    return {
        "shape": shape.name,
        "batch_size": batch,
        "n_particles": specs["published"].train.n_particles,
        "network_samples": specs["accurate"].train.network_samples,
        "gflop": {
            "published": round(floor.flop(shape) / 1e9, 1),
            "accurate": round(
                sum(p.flop for p in floor.products_of_accurate(specs["accurate"])) / 1e9, 1
            ),
        },
        "compile_s": compiled_s,
        **summaries,
        "ratio": ratio(summaries["accurate"], summaries["published"]),
        "temporary_gib": temporary,
        "peak_gib": round(memory.peak_gib(), 2),
    }


def accurate_spec(shape: Shape, precision: str = "float32") -> Spec:
    """Return the accurate model of a shape, with the published batch and particles."""
    config, published = presets.accurate(), shapes.published(shape)
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(
            config.model,
            n_latent=LATENT,
            basal_encoder_n_hidden=WIDTHS[0],
            decoder_n_hidden=WIDTHS[1],
        ),
        train=dataclasses.replace(
            config.train,
            batch_size=published.train.batch_size,
            n_particles=published.train.n_particles,
            max_epochs=20,
            precision=precision,
        ),
    )
    genes = tuple(range(shape.treatments))  # the network genes are the first
    return Spec.of(
        config, Sizes(shape.genes, shape.treatments, shape.perturbed, network_genes=genes)
    )


if __name__ == "__main__":
    main()
