"""Measure the preparation of a data set: seconds by stage, peak memory, parts beside others.

    python -m benchmarks.prepare --quick     (a minute)
    python -m benchmarks.prepare --scrublet=slices     (RPE1 size, ten minutes)

Comparisons with POT and ott-jax are left out where those are not installed:
pip install 'gpo-vae-jax[benchmark]'. The result is printed. Without --quick it also goes into
benchmarks/results/prepare.json.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inputs import rpe1_like
from benchmarks.measuring import memory, options, results_file
from benchmarks.programs import preparation
from benchmarks.workers import own_process
from gpo_vae_jax import data
from gpo_vae_jax.config import PrepareConfig

QUICK = (4_000, 600, 20)  # cells, genes, perturbations
LIMIT_GIB = 10.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--only", choices=("whole", "compare"), help="keep the other result")
    parser.add_argument("--scrublet", default="off", help="off, whole or slices")
    args = options.parsed(parser, arguments)
    folder = results_file.folder_of(args)
    kept = results_file.read(folder, "prepare") if args.only and folder else []
    result = kept[0] if kept else {}
    if args.only != "compare":
        result["preparation"] = preparation_of(
            QUICK if args.quick else rpe1_like.RPE1, args.scrublet
        )
    if args.only != "whole":
        result["side_by_side"] = side_by_side(args.quick)
    results_file.add(folder, "prepare", result)


def preparation_of(shape: tuple[int, int, int], scrublet: str) -> dict[str, Any]:
    """Simulate in one process and prepare in another, whose memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        raw, target = Path(folder) / "raw.h5ad", Path(folder) / "prepared.h5ad"
        own_process.call(simulate, raw, shape)
        measured = own_process.call(prepare, raw, target, scrublet)
    cells, genes, perturbations = shape
    return {
        "cells": cells, "genes": genes, "perturbations": perturbations, **measured,
        "within_limit": measured["peak_gib"] <= LIMIT_GIB,
    }  # fmt: skip


def simulate(path: Path, shape: tuple[int, int, int]) -> None:
    """Write a raw file."""
    rpe1_like.simulate_raw(*shape).write_h5ad(path)


def prepare(source: Path, target: Path, scrublet: str) -> dict[str, Any]:
    """Prepare a raw file into a prepared one; return the seconds of each stage and the peak."""
    start = time.perf_counter()
    marks: list[tuple[str, float]] = []
    peaks: list[float] = []

    def progress(said: str) -> None:
        took, peak = time.perf_counter() - start, round(memory.peak_gib(), 2)
        print(f"[{took:6.1f} s, {peak:.1f} GiB] {said}", file=sys.stderr)
        if not said.startswith(("note: ", "memory: ")):
            marks.append((said.split(" /")[0], time.perf_counter()))
            peaks.append(peak)

    config = PrepareConfig(extended_genes="up_only", scrublet=scrublet)
    prepared = data.prepare_file(source, target, config, progress)
    marks.append(("", time.perf_counter()))
    pairs = itertools.pairwise(marks)
    shape = prepared.shape
    return {
        "settings": {"extended_genes": "up_only", "scrublet": scrublet, "matching": "ot"},
        "nonzero_share": round(prepared.X.nnz / (shape[0] * shape[1]), 3),
        "genes_per_cell": round(prepared.X.nnz / shape[0]),
        "raw_file_gib": round(source.stat().st_size / 2**30, 2),
        "prepared_file_gib": round(target.stat().st_size / 2**30, 2),
        "stages_s": {name: round(end - begin, 2) for (name, begin), (_, end) in pairs},
        "peak_gib_before_stage": dict(zip([m[0] for m in marks], peaks, strict=False)),
        "total_s": round(marks[-1][1] - start, 1),
        "peak_gib": round(memory.peak_gib(), 2),
    }


def side_by_side(quick: bool) -> dict[str, Any]:
    """Compare matching, differential expression and counterfactuals with other programs."""
    rng = np.random.default_rng(0)
    large, small = (60, 20) if quick else (1500, 150)  # cells of a group
    controls = (400, 50) if quick else (7350, 383)  # and genes
    return {
        "transport": preparation.transport(rng, large, *controls),
        "transport_small_group": preparation.transport(rng, small, *controls),
        "differential_expression": preparation.differential(
            *(QUICK if quick else (20_000, 2_000, 100))
        ),
        "counterfactuals": preparation.counterfactuals(*(QUICK if quick else (2_000, 8_749, 8))),
    }


if __name__ == "__main__":
    main()
