"""Measure the statistics of a network of RPE1's size, side by side with a loop of scipy's tests.

    python benchmarks/network_stats.py --quick     (seconds)
    python benchmarks/network_stats.py     (a minute)

The result is printed and, but for --quick, goes into benchmarks/results/network_stats.json. scipy
is timed on a random sample of pairs, in turn with ours, and its time per pair multiplied by the
number of pairs. It is given the expression and the rows of each group; ours starts from counts.
"Edges alone" tests the edges and nothing else; "whole" is all statistics: tables of all pairs,
edges, paths, omission rates and the curve.
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
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.stats import mannwhitneyu, wasserstein_distance

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import machine, rpe1_like  # noqa: E402

RPE1 = {"cells": 18_378, "genes": 8_749, "perturbed": 383, "extended": 272, "edges": 20_000}
QUICK = {"cells": 2_000, "genes": 300, "perturbed": 20, "extended": 12, "edges": 60}
ROUNDS = 5


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small size")
    parser.add_argument("--output", type=Path, help="file for the result")
    parser.add_argument("--only", choices=("simulate", "measure"))
    parser.add_argument("--folder", type=Path, help="where the simulated cells are (with --only)")
    asked = parser.parse_args()
    shape = QUICK if asked.quick else RPE1
    if asked.only == "simulate":
        simulate(asked.folder, shape)
        return
    if asked.only == "measure":
        print(json.dumps(measure(asked.folder, shape, n_sample=20 if asked.quick else 400)))
        return
    with tempfile.TemporaryDirectory() as folder:  # each in a process, whose memory is its own
        command = [sys.executable, __file__, "--folder", folder, *(["--quick"] * asked.quick)]
        subprocess.run([*command, "--only", "simulate"], check=True)
        done = subprocess.run(
            [*command, "--only", "measure"], check=True, stdout=subprocess.PIPE, text=True
        )
    result = {"machine": machine.describe(), **json.loads(done.stdout.splitlines()[-1])}
    kept = None if asked.quick else ROOT / "benchmarks" / "results" / "network_stats.json"
    target = asked.output or kept
    if target:
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def simulate(folder: Path, shape: dict[str, int]) -> None:
    """Write the counts and labels of the test cells, and of a few others."""
    n_cells = shape["cells"] + 2 * (shape["cells"] // 20)
    raw = rpe1_like.simulate_raw(n_cells, shape["genes"], shape["perturbed"])
    sparse.save_npz(folder / "counts.npz", raw.X, compressed=False)
    np.savez(
        folder / "names.npz",
        labels=raw.obs["perturbation"].to_numpy().astype(str),
        genes=raw.var_names.to_numpy().astype(str),
    )


def dataset_of(folder: Path, shape: dict[str, int]):
    """Make the data set; the first genes are perturbed, others drawn to extend the network."""
    from gpo_vae_jax import data

    counts = sparse.load_npz(folder / "counts.npz")
    with np.load(folder / "names.npz") as z:
        labels, genes = z["labels"], z["genes"]
    n, perturbed = len(labels), shape["perturbed"]
    others = np.random.default_rng(1).choice(
        np.arange(perturbed, len(genes)), shape["extended"], replace=False
    )
    treatments = [*genes[:perturbed], *genes[np.sort(others)]]
    control = labels == rpe1_like.CONTROL
    column = np.searchsorted(genes[:perturbed], labels) * ~control
    split = np.full(n, "test", dtype="<U5")
    split[shape["cells"] :] = np.array(["train", "val"])[np.arange(n - shape["cells"]) % 2]
    return data.from_arrays(
        counts=counts,
        dosage=(column[:, None], 1.0 - control[:, None]),
        qc_fail=np.zeros(n),
        counterfactual=sparse.csr_matrix(counts.shape),
        delta=np.zeros((n, len(treatments)), np.float32),
        split=split,
        treatments=treatments,
        n_perturbed=perturbed,
        genes=genes,
    )


def measure(folder: Path, shape: dict[str, int], n_sample: int) -> dict:
    """Time ours and scipy in turn, and compare what they find."""
    from gpo_vae_jax.config import EvaluateConfig
    from gpo_vae_jax.evaluate.network.network_stats import network_statistics
    from gpo_vae_jax.evaluate.network.pair_tests import compare_cells

    dataset = dataset_of(folder, shape)
    random = np.random.default_rng(0)
    n_perturbed, n_nodes = shape["perturbed"], len(dataset.treatments)
    probabilities = random.random((n_nodes, n_nodes))
    possible = ~np.eye(n_perturbed, n_nodes, dtype=bool)
    ranked = np.sort(probabilities[:n_perturbed][possible])
    settings = EvaluateConfig(threshold=float(ranked[-shape["edges"] - 1]))
    pairs = np.argwhere(possible & (probabilities[:n_perturbed] > settings.threshold))
    sample = pairs[random.choice(len(pairs), n_sample, replace=False)]
    wanted = np.zeros_like(possible)
    wanted[tuple(pairs.T)] = True

    def edges_alone() -> None:
        tables = compare_cells(dataset, settings, pairs=wanted)
        found = {
            "true": int((tables.p < settings.p_value).sum()),
            "mean": float(np.nanmean(tables.wasserstein)),
        }
        assert found["mean"] > 0

    def whole():
        start = time.perf_counter()
        tables = compare_cells(dataset, settings)
        seconds["tables"].append(time.perf_counter() - start)
        found, _ = network_statistics(
            probabilities, tables, dataset.treatments, n_perturbed, settings
        )
        return tables, found

    ways = {"whole": whole, "edges_alone": edges_alone, "scipy": scipy_loop(dataset, sample)}
    seconds: dict[str, list[float]] = {name: [] for name in ("tables", *ways)}
    before = resident_gib()
    whole()  # once before the clock starts
    edges_alone()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    results = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            results[name] = way()
            seconds[name].append(time.perf_counter() - start)
    (tables, found), expected = results["whole"], results["scipy"]
    seconds["tables"] = seconds["tables"][1:]
    median = {name: statistics.median(times) for name, times in seconds.items()}
    per_pair = median["scipy"] / n_sample
    used = found["all"]["edges"]["n"] + sum(path["n"] for path in found["all"]["paths"])
    at = tuple(sample.T)
    return {
        **shape,
        "treatments": n_nodes,
        "controls": int((dataset.labels["test"] == rpe1_like.CONTROL).sum()),
        "nonzero_share": round(float((dataset.splits["test"].cells.counts > 0).mean()), 3),
        "ours": {
            "edges_alone_s": round(median["edges_alone"], 4),
            "tables_of_all_pairs_s": round(median["tables"], 4),
            "whole_s": round(median["whole"], 4),
            "pairs_in_tables": n_perturbed * n_nodes,
            "data_gib": round(before, 2),
            "peak_gib": round(peak, 2),
        },
        "scipy": {
            "pairs_timed": n_sample,
            "ms_per_pair": round(1e3 * per_pair, 4),
            "edges_alone_s_extrapolated": round(per_pair * len(pairs), 2),
            "edges_and_paths": used,
            "edges_and_paths_s_extrapolated": round(per_pair * used, 1),
        },
        "times_faster": {
            "edges_alone": round(per_pair * len(pairs) / median["edges_alone"], 1),
            "whole_against_edges_alone": round(per_pair * len(pairs) / median["whole"], 1),
            "whole_against_edges_and_paths": round(per_pair * used / median["whole"], 1),
        },
        "largest_difference": {
            "p": float(np.abs(tables.p[at] - expected[0]).max()),
            "wasserstein": float(np.abs(tables.wasserstein[at] - expected[1]).max()),
        },
    }


def scipy_loop(dataset, sample: np.ndarray):
    """Return a function that tests the sample's pairs one by one, [2, n]: p and distance."""
    from gpo_vae_jax.data import counts as count_matrix

    library = np.concatenate([part.cells.library_size for part in dataset.splits.values()])
    median = np.median(library[library > 0])
    cells, labels = dataset.splits["test"].cells, dataset.labels["test"]
    columns = count_matrix.gene_columns(dataset.treatments, dataset.genes)
    values = np.ascontiguousarray(np.asarray(cells.counts)[:, columns].T)
    size = np.asarray(cells.library_size, np.float64)
    factor = np.divide(median, size, out=np.zeros(len(size)), where=size > 0)
    expression = np.log1p(values * factor).astype(np.float32).astype(np.float64)
    rows = {name: np.flatnonzero(labels == name) for name in np.unique(labels)}
    control = rows[rpe1_like.CONTROL]

    def loop() -> np.ndarray:
        found = np.empty((2, len(sample)))
        for i, (source, target) in enumerate(sample):
            pair = expression[target, rows[dataset.treatments[source]]], expression[target, control]
            found[0, i] = mannwhitneyu(*pair, alternative="two-sided", method="asymptotic").pvalue
            found[1, i] = wasserstein_distance(*pair)
        return found

    return loop


def resident_gib() -> float:
    """Return the memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**30


if __name__ == "__main__":
    main()
