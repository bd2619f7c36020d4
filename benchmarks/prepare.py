r"""Measure the preparation of a data set: time of stages, peak memory, side by side with others.

    python benchmarks/prepare.py --quick     (a minute)
    python benchmarks/prepare.py --scrublet=slices     (RPE1 size, ten minutes)

The result is printed and, but for --quick, goes into benchmarks/results/prepare.json. Needs
pip install 'gpo-vae-jax[benchmark]'; what is not installed is left out of the comparisons.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import sparse

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import machine, rpe1_like  # noqa: E402

QUICK = (4_000, 600, 20)  # cells, genes, perturbations
LIMIT_GIB = 10.0


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small size")
    parser.add_argument("--output", type=Path, help="file for the result")
    parser.add_argument("--only", choices=("simulate", "prepare", "whole", "compare"))
    parser.add_argument("--scrublet", default="off", help="off, whole or slices")
    parser.add_argument("--folder", type=Path, help="where the simulated file is (with --only)")
    asked = parser.parse_args()
    shape = QUICK if asked.quick else rpe1_like.RPE1
    if asked.only == "simulate":
        rpe1_like.simulate_raw(*shape).write_h5ad(asked.folder / "raw.h5ad")
        return
    if asked.only == "prepare":
        print(json.dumps(whole_preparation(asked.folder, asked.scrublet)))
        return
    kept = None if asked.quick else ROOT / "benchmarks" / "results" / "prepare.json"
    target = asked.output or kept
    result = json.loads(target.read_text()) if asked.only and target and target.exists() else {}
    result["machine"] = machine.describe()
    if asked.only != "compare":
        result["preparation"] = in_processes(asked, shape)
    if asked.only != "whole":
        result["side_by_side"] = side_by_side(asked.quick)
    if target:
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def in_processes(asked: argparse.Namespace, shape: tuple[int, int, int]) -> dict:
    """Simulate in one process and prepare in another, whose memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--folder", folder, *(["--quick"] * asked.quick)]
        subprocess.run([*command, "--only", "simulate"], check=True)
        command += ["--only", "prepare", "--scrublet", asked.scrublet]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    cells, genes, perturbations = shape
    return {
        "cells": cells, "genes": genes, "perturbations": perturbations, **measured,
        "within_limit": measured["peak_gib"] <= LIMIT_GIB,
    }  # fmt: skip


def whole_preparation(folder: Path, scrublet: str) -> dict:
    """Prepare a raw file into a prepared file; give the seconds of each stage and the peak."""
    from gpo_vae_jax import data
    from gpo_vae_jax.config import PrepareConfig

    start = time.perf_counter()
    marks, peaks = [], []

    def progress(said: str) -> None:
        print(
            f"[{time.perf_counter() - start:6.1f} s, {peak_gib():.1f} GiB] {said}", file=sys.stderr
        )
        if not said.startswith("note: "):
            marks.append((said.split(" /")[0], time.perf_counter()))
            peaks.append(peak_gib())

    config = PrepareConfig(extended_genes="up_only", scrublet=scrublet)
    prepared = data.prepare_file(folder / "raw.h5ad", folder / "out.h5ad", config, progress)
    marks.append(("", time.perf_counter()))
    pairs = zip(marks, marks[1:], strict=False)
    shape = prepared.shape
    return {
        "settings": {"extended_genes": "up_only", "scrublet": scrublet, "matching": "ot"},
        "nonzero_share": round(prepared.X.nnz / (shape[0] * shape[1]), 3),
        "genes_per_cell": round(prepared.X.nnz / shape[0]),
        "raw_file_gib": round((folder / "raw.h5ad").stat().st_size / 2**30, 2),
        "prepared_file_gib": round((folder / "out.h5ad").stat().st_size / 2**30, 2),
        "stages_s": {name: round(end - begin, 2) for (name, begin), (_, end) in pairs},
        "peak_gib_before_stage": dict(zip([m[0] for m in marks], peaks, strict=False)),
        "total_s": round(marks[-1][1] - start, 1),
        "peak_gib": round(peak_gib(), 2),
    }


def peak_gib() -> float:
    """Return the most memory that this process has held so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def side_by_side(quick: bool) -> dict:
    """Compare matching, differential expression and counterfactuals with plain code."""
    rng = np.random.default_rng(0)
    return {
        "transport": transport(rng, *((60, 400, 50) if quick else (1500, 7350, 383))),
        "transport_small_group": transport(rng, *((20, 400, 50) if quick else (150, 7350, 383))),
        "differential_expression": differential(*(QUICK if quick else (20_000, 2_000, 100))),
        "counterfactuals": counterfactuals(*(QUICK if quick else (2_000, 8_749, 8))),
    }


def transport(rng: np.random.Generator, n: int, m: int, genes: int) -> dict:
    """Match n cells to m controls: ours, POT in the log domain and plain, ott-jax in float32."""
    from gpo_vae_jax.data.prepare.matching.transport import transport_match

    mean = np.exp(rng.normal(-0.5, 1.2, genes))
    cells, controls = (np.log1p(rng.poisson(mean, (size, genes)) * 1.1) for size in (n, m))
    ways = {"ours": lambda: transport_match(cells, controls)}
    try:
        import ot

        def pot(method: str) -> np.ndarray:
            cost = ot.dist(cells, controls, metric="euclidean") / 100
            return ot.sinkhorn([], [], cost, 1.0, method=method).argmax(axis=1)

        ways |= {"pot_log": lambda: pot("sinkhorn_log"), "pot_plain": lambda: pot("sinkhorn")}
    except ImportError:
        pass
    try:
        ways["ott_jax_float32"] = ott_jax(cells, controls)
    except ImportError:
        pass
    return {"cells": n, "controls": m, "genes": genes, **alternate(ways, 3)}


def ott_jax(cells: np.ndarray, controls: np.ndarray) -> Callable[[], np.ndarray]:
    """Compile the match by ott-jax in the log domain; the plan is not built."""
    import jax
    import jax.numpy as jnp
    from ott.geometry import costs, pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    @jax.jit
    def match(x, y):
        geometry = pointcloud.PointCloud(x / 100, y / 100, cost_fn=costs.Euclidean(), epsilon=1.0)
        solver = sinkhorn.Sinkhorn(threshold=1e-6, lse_mode=True)
        found = solver(linear_problem.LinearProblem(geometry))
        return jnp.argmax(found.g[None, :] - geometry.cost_matrix, axis=1)

    x, y = jnp.asarray(cells, jnp.float32), jnp.asarray(controls, jnp.float32)
    np.asarray(match(x, y))  # compile before the clock starts
    return lambda: np.asarray(match(x, y))


def differential(n_cells: int, n_genes: int, n_perturbations: int) -> dict:
    """Rank all genes of all perturbations: ours from counts, scanpy's Wilcoxon test."""
    import scanpy

    from gpo_vae_jax.data import counts as count_matrix
    from gpo_vae_jax.data.prepare.differential import rank_genes

    raw = rpe1_like.simulate_raw(n_cells, n_genes, n_perturbations)
    label = raw.obs["perturbation"].astype(str).to_numpy()
    names = sorted(set(label) - {rpe1_like.CONTROL})
    group = np.searchsorted(names, label)
    control = label == rpe1_like.CONTROL
    group[control] = -1
    factor = count_matrix.normalisation(count_matrix.library_size(raw.X))
    adata = raw.copy()
    adata.X = sparse.csr_matrix(
        sparse.diags(factor.astype(np.float32)) @ adata.X, dtype=np.float32
    ).log1p()

    def by_scanpy() -> np.ndarray:
        scanpy.tl.rank_genes_groups(
            adata, "perturbation", groups=names, reference=rpe1_like.CONTROL, method="wilcoxon"
        )
        found = adata.uns["rank_genes_groups"]
        return np.array([np.sort(found["scores"][name])[::-1] for name in names])

    def ours() -> np.ndarray:
        scores = rank_genes(raw.X, group, len(names), control, factor).scores
        return np.sort(scores.astype(np.float32), axis=1)[:, ::-1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_scanpy()  # numba compiles before the clock starts
        measured = alternate({"ours": ours, "scanpy": by_scanpy}, 3)
    sizes = {"cells": n_cells, "genes": n_genes, "perturbations": n_perturbations}
    return {**sizes, "controls": int(control.sum()), **measured}


def counterfactuals(n_cells: int, n_genes: int, n_perturbations: int) -> dict:
    """Make counterfactual counts: ours, and a loop over cells that sorts their draws."""
    from gpo_vae_jax.data.prepare.counterfactual import N_DRAWS, counterfactual_counts
    from gpo_vae_jax.statistics.random_by_name import draw_below, hash_names

    raw = rpe1_like.simulate_raw(n_cells, n_genes, n_perturbations)
    _, group = np.unique(raw.obs["perturbation"].astype(str), return_inverse=True)
    counts = sparse.csr_matrix(raw.X, dtype=np.uint16)
    library = np.asarray(counts.sum(axis=1)).ravel()
    failed = library < np.quantile(library, 0.15)
    hashes = hash_names(raw.obs_names, 0, "counterfactual")

    def loop() -> np.ndarray:
        dense = counts.toarray()
        result = np.zeros_like(dense)
        for i in range(n_cells):
            sources = np.flatnonzero((group == group[i]) & failed)
            if len(sources):
                k = min(len(sources), N_DRAWS)
                drawn = dense[sources[draw_below(hashes[i : i + 1], k, len(sources))[0]]]
                result[i] = np.partition(drawn, (k - 1) // 2, axis=0)[(k - 1) // 2]
        return result

    ways = {
        "ours": lambda: counterfactual_counts(counts, group, failed, hashes).toarray(),
        "loop": loop,
    }
    sizes = {"cells": n_cells, "genes": n_genes, "perturbations": n_perturbations}
    return {**sizes, **alternate(ways, 3)}


def alternate(ways: dict[str, Callable[[], np.ndarray]], rounds: int) -> dict:
    """Run the ways in turn; give medians, how many times ours is faster, and whether all agree."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            results[name] = way()
            seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    others = [name for name in ways if name != "ours"]
    return {
        "median_s": {name: round(value, 4) for name, value in median.items()},
        "times_faster": {name: round(median[name] / median["ours"], 2) for name in others},
        "share_equal": {
            name: round(float((results[name] == results["ours"]).mean()), 5) for name in others
        },
    }


if __name__ == "__main__":
    main()
