"""Parts of the preparation beside other programs that do the same."""

from __future__ import annotations

import importlib.util
import statistics
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.inputs import rpe1_like
from benchmarks.measuring.in_turn import in_turn
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.counterfactual import N_DRAWS, counterfactual_counts
from gpo_vae_jax.data.prepare.differential import rank_genes
from gpo_vae_jax.data.prepare.matching.transport import transport_match
from gpo_vae_jax.statistics.random_by_name import draw_below, hash_names

Ways = Mapping[str, Callable[[], np.ndarray]]
ROUNDS = 3


def transport(rng: np.random.Generator, n: int, m: int, genes: int) -> dict[str, Any]:
    """Match n cells to m controls: POT in the log domain and plain, ott-jax in float32."""
    mean = np.exp(rng.normal(-0.5, 1.2, genes))
    cells, controls = (np.log1p(rng.poisson(mean, (size, genes)) * 1.1) for size in (n, m))
    ways = {"ours": lambda: transport_match(cells, controls)}
    if importlib.util.find_spec("ot"):
        ways |= {
            "pot_log": lambda: by_pot(cells, controls, "sinkhorn_log"),
            "pot_plain": lambda: by_pot(cells, controls, "sinkhorn"),
        }
    if importlib.util.find_spec("ott"):
        ways["ott_jax_float32"] = by_ott_jax(cells, controls)
    return {"cells": n, "controls": m, "genes": genes, **compared(ways)}


def by_pot(cells: np.ndarray, controls: np.ndarray, method: str) -> np.ndarray:
    """Match by POT."""
    import ot

    cost = ot.dist(cells, controls, metric="euclidean") / 100
    return ot.sinkhorn([], [], cost, 1.0, method=method).argmax(axis=1)


def by_ott_jax(cells: np.ndarray, controls: np.ndarray) -> Callable[[], np.ndarray]:
    """Compile the match by ott-jax in the log domain; the plan is never materialised."""
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


def differential(n_cells: int, n_genes: int, n_perturbations: int) -> dict[str, Any]:
    """Rank all genes of all perturbations: scanpy's Wilcoxon test."""
    import scanpy

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
        measured = compared({"ours": ours, "scanpy": by_scanpy})
    sizes = {"cells": n_cells, "genes": n_genes, "perturbations": n_perturbations}
    return {**sizes, "controls": int(control.sum()), **measured}


def counterfactuals(n_cells: int, n_genes: int, n_perturbations: int) -> dict[str, Any]:
    """Draw counterfactual counts: a loop over cells that sorts their draws."""
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
    return {**sizes, **compared(ways)}


def compared(ways: Ways) -> dict[str, Any]:
    """Run "ours" and the others in turn; return medians, ratios and shares of equal results."""
    seconds, results = in_turn(ways, ROUNDS)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    others = [name for name in ways if name != "ours"]
    return {
        "median_s": {name: round(value, 4) for name, value in median.items()},
        "times_faster": {name: round(median[name] / median["ours"], 2) for name in others},
        "share_equal": {
            name: round(float((results[name] == results["ours"]).mean()), 5) for name in others
        },
    }
