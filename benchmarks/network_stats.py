"""Measure the statistics of a network of RPE1's size beside a loop of scipy's tests.

    python -m benchmarks.network_stats --quick     (seconds)
    python -m benchmarks.network_stats     (a minute)

scipy is timed on a random sample of pairs, in turn with this package, and its time per pair is
multiplied by the number of pairs. It starts from the expression and the rows of each group; this
package starts from counts. "Edges alone" tests the edges and nothing else. "Whole" computes all
statistics: tables of all pairs, edges, paths, omission rates and the curve. The result is printed.
Without --quick it also goes into benchmarks/results/network_stats.json.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import mannwhitneyu, wasserstein_distance

from benchmarks.inputs import rpe1_like
from benchmarks.measuring import memory, options, results_file
from benchmarks.measuring.in_turn import in_turn
from benchmarks.workers import own_process
from gpo_vae_jax import data
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.evaluate.network.network_stats import network_statistics
from gpo_vae_jax.evaluate.network.pair_tests import compare_cells
from gpo_vae_jax.types import Dataset

Sizes = Mapping[str, int]
RPE1 = {"cells": 18_378, "genes": 8_749, "perturbed": 383, "extended": 272, "edges": 20_000}
QUICK = {"cells": 2_000, "genes": 300, "perturbed": 20, "extended": 12, "edges": 60}
ROUNDS = 5


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything, and keep the result."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    args = options.parsed(parser, arguments)
    sizes, n_sample = (QUICK, 20) if args.quick else (RPE1, 400)
    with tempfile.TemporaryDirectory() as folder:
        own_process.call(simulate, Path(folder), sizes)
        result = own_process.call(measure, Path(folder), sizes, n_sample)
    results_file.add(results_file.folder_of(args), "network_stats", result)


def simulate(folder: Path, sizes: Sizes) -> None:
    """Write the counts and labels of the test cells, and of a few training cells."""
    n_cells = sizes["cells"] + 2 * (sizes["cells"] // 20)
    raw = rpe1_like.simulate_raw(n_cells, sizes["genes"], sizes["perturbed"])
    sparse.save_npz(folder / "counts.npz", raw.X, compressed=False)
    np.savez(
        folder / "names.npz",
        labels=raw.obs["perturbation"].to_numpy().astype(str),
        genes=raw.var_names.to_numpy().astype(str),
    )


def dataset_of(folder: Path, sizes: Sizes) -> Dataset:
    """Read the data set; its first genes are perturbed, and randomly chosen ones are extended."""
    counts = sparse.load_npz(folder / "counts.npz")
    with np.load(folder / "names.npz") as z:
        labels, genes = z["labels"], z["genes"]
    n, perturbed = len(labels), sizes["perturbed"]
    others = np.random.default_rng(1).choice(
        np.arange(perturbed, len(genes)), sizes["extended"], replace=False
    )
    treatments = [*genes[:perturbed], *genes[np.sort(others)]]
    control = labels == rpe1_like.CONTROL
    column = np.searchsorted(genes[:perturbed], labels) * ~control
    split = np.full(n, "test", dtype="<U5")
    split[sizes["cells"] :] = np.array(["train", "val"])[np.arange(n - sizes["cells"]) % 2]
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


def measure(folder: Path, sizes: Sizes, n_sample: int) -> dict[str, Any]:
    """Time this package and scipy in turn, and compare their results."""
    dataset = dataset_of(folder, sizes)
    random = np.random.default_rng(0)
    n_perturbed, n_nodes = sizes["perturbed"], len(dataset.treatments)
    probabilities = random.random((n_nodes, n_nodes))
    possible = ~np.eye(n_perturbed, n_nodes, dtype=bool)
    ranked = np.sort(probabilities[:n_perturbed][possible])
    settings = EvaluateConfig(threshold=float(ranked[-sizes["edges"] - 1]))
    pairs = np.argwhere(possible & (probabilities[:n_perturbed] > settings.threshold))
    sample = pairs[random.choice(len(pairs), n_sample, replace=False)]
    edges = np.zeros_like(possible)
    edges[tuple(pairs.T)] = True

    def edges_alone():
        return compare_cells(dataset, settings, pairs=edges)

    def whole():
        start = time.perf_counter()
        tables = compare_cells(dataset, settings)
        tables_s.append(time.perf_counter() - start)
        found, _ = network_statistics(
            probabilities, tables, dataset.treatments, n_perturbed, settings
        )
        return tables, found

    tables_s: list[float] = []
    before = memory.resident_gib()
    whole()  # warm up
    edges_alone()
    peak = memory.peak_gib()
    ways = {"whole": whole, "edges_alone": edges_alone, "scipy": scipy_loop(dataset, sample)}
    seconds, results = in_turn(ways, ROUNDS)
    (tables, found), expected = results["whole"], results["scipy"]
    median = {name: statistics.median(times) for name, times in seconds.items()}
    per_pair = median["scipy"] / n_sample
    used = found["all"]["edges"]["n"] + sum(path["n"] for path in found["all"]["paths"])
    at = tuple(sample.T)
    return {
        **sizes,
        "treatments": n_nodes,
        "controls": int((dataset.labels["test"] == rpe1_like.CONTROL).sum()),
        "nonzero_share": round(float((dataset.splits["test"].cells.counts > 0).mean()), 3),
        "ours": {
            "edges_alone_s": round(median["edges_alone"], 4),
            "tables_of_all_pairs_s": round(statistics.median(tables_s[1:]), 4),
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


def scipy_loop(dataset: Dataset, sample: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that tests the sample's pairs one by one, [2, n]: p and distance."""
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


if __name__ == "__main__":
    main()
