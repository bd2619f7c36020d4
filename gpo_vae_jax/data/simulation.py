"""Simulate raw Perturb-seq counts whose gene regulatory network is known."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax.config import SimulateConfig
from gpo_vae_jax.data.prepared_file import TRUTH

CONTROL = "non-targeting"
_DEFAULT = SimulateConfig()
_LARGEST_CHANGE = 2.5  # of log expression, so that long chains of edges stay finite
_FOLLOWERS = 0.3  # share of the genes outside the network that follow one network gene
_NETWORK_LEVEL = (1.2, 0.4)  # mean and spread of log base expression; network genes are expressed
_OTHER_LEVEL = (0.0, 1.0)
_LIBRARY_SPREAD = 0.3
_DAMAGED_LIBRARY = 0.12  # share of its library that a damaged cell keeps
_DAMAGED_SHIFT = 1.0  # spread over genes of the log change that all damaged cells share
_MITOCHONDRIAL_RISE = 2.0


def simulate(config: SimulateConfig = _DEFAULT) -> anndata.AnnData:
    """Simulate raw Perturb-seq counts with a known network; a function of the settings alone.

    The network is acyclic: gene a's log change times weight[a, b] is added to gene b's, so that a
    knock-down travels along paths.

    Returns:
      Counts [n_cells, n_genes]. obs has `perturbation` ("A+B" for two), `qc_fail_true` and
      `doublet_true`; var has `perturbed` and `in_network`. uns['gpo_vae_truth'] has the `names` of
      the network genes, the signed `weights` [source, target], and `effects`, the change of their
      log expression for each of the `labels`; `followers`, genes outside the network that follow
      one of its genes, and their weights `follows` [network gene, follower].
    """
    rng = np.random.default_rng(config.seed)
    genes = _gene_names(rng, config)
    n_network = config.n_perturbed + config.n_extended
    weights = random_network(rng, n_network, config.edges_per_gene, config.effect)
    reach = _followers(rng, n_network, config)
    base = np.concatenate([
        rng.normal(*_NETWORK_LEVEL, n_network),
        rng.normal(*_OTHER_LEVEL, config.n_genes - n_network),
    ])  # fmt: skip

    targets, kinds = _perturbations(rng, config)
    log_knockdown = np.log(max(1 - config.knockdown, 1e-2))
    change = np.stack([propagate(weights, kind, log_knockdown) for kind in kinds])
    log_rate = base + np.concatenate([change, change @ reach], axis=1)[targets]

    failed = rng.random(config.n_cells) < config.fail_fraction
    damage = rng.normal(0, _DAMAGED_SHIFT, config.n_genes)
    damage[[name.startswith("MT-") for name in genes]] += _MITOCHONDRIAL_RISE
    log_rate = log_rate + failed[:, None] * damage
    library = config.median_umi * np.exp(rng.normal(0, _LIBRARY_SPREAD, config.n_cells))
    library = library * np.where(failed, _DAMAGED_LIBRARY, 1.0)
    # Depth is relative to the base expression, not to that of the cell: a strong response must not
    # push every other gene down.
    rate = np.exp(log_rate) * (library / np.exp(base).sum())[:, None]
    counts = _negative_binomial(rng, rate, config.dispersion)

    doublet = (rng.random(config.n_cells) < config.doublet_fraction) & ~failed
    partner = rng.integers(config.n_cells, size=config.n_cells)
    counts = counts + doublet[:, None] * counts[partner]
    follows = reach.any(axis=0)
    followers = {"followers": genes[n_network:][follows], "follows": reach[:, follows]}
    return _assemble(
        rng, config, genes, counts, targets, kinds, weights, change, failed, doublet, followers
    )


def random_network(
    rng: np.random.Generator, n_genes: int, edges_per_gene: float, effect: float
) -> np.ndarray:
    """Draw a sparse signed acyclic network, [source, target], |weight| within 20 % of `effect`."""
    possible = n_genes * (n_genes - 1) / 2
    share = min(1.0, edges_per_gene * n_genes / possible) if possible else 0.0
    place = rng.permutation(n_genes)  # a hidden order; edges go forward in it
    edge = (rng.random((n_genes, n_genes)) < share) & (place[:, None] < place[None, :])
    sign = np.where(rng.random((n_genes, n_genes)) < 0.5, -1.0, 1.0)
    return edge * sign * effect * rng.uniform(0.8, 1.2, (n_genes, n_genes))


def propagate(weights: np.ndarray, knocked_down: tuple[int, ...], log_change: float) -> np.ndarray:
    """Return the change of log expression of all n network genes under knock-downs, [n].

    Knocked-down genes keep `log_change` whatever regulates them; the change of every other gene is
    the sum over its regulators. An acyclic network converges within n rounds.
    """
    held = np.zeros(len(weights), bool)
    held[list(knocked_down)] = True
    change = np.where(held, log_change, 0.0)
    for _ in range(len(weights)):
        sums = np.clip(change @ weights, -_LARGEST_CHANGE, _LARGEST_CHANGE)
        updated = np.where(held, log_change, sums)
        if np.array_equal(updated, change):
            break
        change = updated
    return change


def _gene_names(rng: np.random.Generator, config: SimulateConfig) -> np.ndarray:
    """Return gene names in random order, network genes first; some others are mitochondrial."""
    width = max(3, len(str(config.n_genes - 1)))
    names = np.array([f"GENE{i:0{width}d}" for i in range(config.n_genes)], dtype=object)
    names = rng.permutation(names)
    n_mitochondrial = (config.n_genes - config.n_perturbed - config.n_extended) // 20
    for i in range(n_mitochondrial):
        names[-1 - i] = f"MT-{i:02d}"
    return names


def _followers(rng: np.random.Generator, n_network: int, config: SimulateConfig) -> np.ndarray:
    """Return the weights by which other genes follow a network gene, [n_network, others].

    Some genes outside the network follow one network gene each.
    """
    n_others = config.n_genes - n_network
    reach = np.zeros((n_network, n_others))
    follows = rng.random(n_others) < _FOLLOWERS
    parent = rng.integers(n_network, size=n_others)
    sign = np.where(rng.random(n_others) < 0.5, -1.0, 1.0)
    reach[parent, np.arange(n_others)] = follows * sign * config.effect / 2
    return reach


def _perturbations(
    rng: np.random.Generator, config: SimulateConfig
) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Return the kind of perturbation of each cell, [N], and the network genes of each kind.

    Kind 0 is the control, kinds 1..R knock down one gene, the others two.
    """
    r = config.n_perturbed
    pairs = [(a, (a + 1) % r) for a in range(r)] if r > 2 else []
    kinds: list[tuple[int, ...]] = [(), *((a,) for a in range(r)), *pairs]
    drawn = rng.random(config.n_cells)
    single = rng.integers(r, size=config.n_cells)
    double = pairs and rng.random(config.n_cells) < config.double_fraction
    kind = 1 + single + (r * np.asarray(double) if pairs else 0)
    return np.where(drawn < config.control_fraction, 0, kind), kinds


def _negative_binomial(
    rng: np.random.Generator, mean: np.ndarray, concentration: float
) -> np.ndarray:
    return rng.poisson(mean * rng.gamma(concentration, 1 / concentration, mean.shape))


def _assemble(
    rng: np.random.Generator,
    config: SimulateConfig,
    genes: np.ndarray,
    counts: np.ndarray,
    targets: np.ndarray,
    kinds: list[tuple[int, ...]],
    weights: np.ndarray,
    change: np.ndarray,
    failed: np.ndarray,
    doublet: np.ndarray,
    followers: dict[str, np.ndarray],
) -> anndata.AnnData:
    """Build the AnnData, with genes in random order."""
    labels = np.array(["+".join(sorted(genes[list(kind)])) or CONTROL for kind in kinds])
    cells = rng.permutation([f"CELL{i:06d}" for i in range(config.n_cells)])
    order = rng.permutation(config.n_genes)
    n_network = len(weights)
    position = np.arange(config.n_genes)
    adata = anndata.AnnData(
        sparse.csr_matrix(counts[:, order].astype(np.float32)),
        obs=pd.DataFrame(
            {
                "perturbation": pd.Categorical(labels[targets]),
                "qc_fail_true": failed,
                "doublet_true": doublet,
            },
            index=cells.astype(str),
        ),
        var=pd.DataFrame(
            {
                "perturbed": (position < config.n_perturbed)[order],
                "in_network": (position < n_network)[order],
            },
            index=pd.Index(genes[order].astype(str)),
        ),
    )
    adata.uns[TRUTH] = {
        "names": genes[:n_network].copy(),
        "weights": weights.astype(np.float32),
        "labels": labels.astype(object),
        "effects": change.astype(np.float32),
        "followers": followers["followers"].copy(),
        "follows": followers["follows"].astype(np.float32),
    }
    return adata
