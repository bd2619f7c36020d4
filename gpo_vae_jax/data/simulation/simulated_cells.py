"""Simulate raw Perturb-seq counts whose gene regulatory network is known."""

from __future__ import annotations

from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from gpo_vae_jax.config import SimulateConfig
from gpo_vae_jax.data.prepared.simulated_truth import TRUTH
from gpo_vae_jax.data.simulation.simulated_network import (
    draw_network,
    generator_of,
    propagate,
    truth_of,
)

CONTROL = "non-targeting"
_DEFAULT = SimulateConfig()
_FOLLOWERS = 0.3  # share of the genes outside the network that follow one network gene
_NETWORK_LEVEL = (1.2, 0.4)  # mean and spread of log base expression; network genes are expressed
_OTHER_LEVEL = (0.0, 1.0)
_LIBRARY_SPREAD = 0.3
_DAMAGED_LIBRARY = 0.12  # share of its library that a damaged cell keeps
_DAMAGED_SHIFT = 1.0  # spread over genes of the log change that all damaged cells share
_MITOCHONDRIAL_RISE = 2.0


class _Cells(NamedTuple):
    """What was drawn for each of N cells."""

    kind: np.ndarray  # [N], the perturbation that its label names
    failed: np.ndarray  # [N] bool
    doublet: np.ndarray  # [N] bool
    escaped: np.ndarray  # [N] bool
    batch: np.ndarray  # [N] int


def simulate(config: SimulateConfig = _DEFAULT) -> anndata.AnnData:
    """Simulate raw Perturb-seq counts with a known network; a function of the settings alone.

    Gene a's log change times weight[a, b] is added to gene b's, so that a knock-down travels along
    paths (`propagate`). The network is acyclic unless `cycles` adds loops. docs/data.md describes
    what the settings of harder data do.

    Returns:
      Counts [n_cells, n_genes]. obs has `perturbation` ("A+B" for two), `qc_fail_true` and
      `doublet_true`, with an `escape_fraction` also `escaped_true`, and with several batches
      `batch`; var has `perturbed` and `in_network`. uns['gpo_vae_truth'] has the `names` of the
      measured network genes, the signed `weights` [source, target] of direct edges among them, and
      `effects`, the change of their log expression for each of the `labels`; with cycles also
      `closing`, the edges that close loops, and with hidden genes `through_hidden`, the summed
      weight of paths through hidden genes alone; `followers`, genes outside the network that follow
      one of its genes, and their weights `follows` [network gene, follower].

    Raises:
      ConfigError: no feedback loop is weak enough (`cycles`).
    """
    rng = np.random.default_rng(config.seed)
    genes = _gene_names(rng, config)
    network = draw_network(rng, config)
    n_network = network.n_measured
    reach = _followers(rng, n_network, config)
    base = np.concatenate([
        rng.normal(*_NETWORK_LEVEL, n_network),
        rng.normal(*_OTHER_LEVEL, config.n_genes - n_network),
    ])  # fmt: skip

    targets, kinds = _perturbations(rng, config)
    log_knockdown = np.log(max(1 - config.knockdown, 1e-2))
    change = np.stack([
        propagate(network.weights, kind, log_knockdown, config.saturation)[:n_network]
        for kind in kinds
    ])  # fmt: skip
    escaped = _escaped(config, targets)
    acting = np.where(escaped, 0, targets)
    log_rate = (base + np.concatenate([change, change @ reach], axis=1))[acting]
    batch, shift = _batches(config, targets)
    if config.n_batches > 1:
        log_rate += shift[batch]

    failed = rng.random(config.n_cells) < config.fail_fraction
    damage = rng.normal(0, _DAMAGED_SHIFT, config.n_genes)
    damage[[name.startswith("MT-") for name in genes]] += _MITOCHONDRIAL_RISE
    log_rate[failed] += damage
    library = config.median_umi * np.exp(rng.normal(0, _LIBRARY_SPREAD, config.n_cells))
    library = library * np.where(failed, _DAMAGED_LIBRARY, 1.0)
    # Depth is relative to the base expression, not to that of the cell: a strong response must not
    # push every other gene down.
    rate = np.exp(log_rate, out=log_rate)
    rate *= (library / np.exp(base).sum())[:, None]
    counts = _negative_binomial(rng, rate, config.dispersion)

    doublet = (rng.random(config.n_cells) < config.doublet_fraction) & ~failed
    partner = rng.integers(config.n_cells, size=config.n_cells)
    counts[doublet] += counts[partner[doublet]]
    cells = _Cells(targets, failed, doublet, escaped, batch)
    labels = np.array(["+".join(sorted(genes[list(kind)])) or CONTROL for kind in kinds])
    adata = _assemble(rng, config, genes, counts, labels, cells)
    follows = reach.any(axis=0)
    adata.uns[TRUTH] = {
        "names": genes[:n_network].copy(),
        **truth_of(network),
        "labels": labels.astype(object),
        "effects": change.astype(np.float32),
        "followers": genes[n_network:][follows].copy(),
        "follows": reach[:, follows].astype(np.float32),
    }
    return adata


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


def _escaped(config: SimulateConfig, targets: np.ndarray) -> np.ndarray:
    """Return the perturbed cells in which no perturbation acts, [N] bool; their label stays."""
    drawn = generator_of(config, "escape").random(config.n_cells)
    return (drawn < config.escape_fraction) & (targets != 0)


def _batches(config: SimulateConfig, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the batch of each cell, [N], and the shift of each gene, [n_batches, n_genes].

    Shifts are of log expression. Cells are in batches at random; with `batch_imbalance` that share
    of each perturbation's cells is in one batch, which differs between perturbations. Controls (of
    target 0) stay spread over all.
    """
    rng = generator_of(config, "batches")
    shift = rng.normal(0, config.batch_effect, (config.n_batches, config.n_genes))
    batch = rng.integers(config.n_batches, size=config.n_cells)
    if config.batch_imbalance:
        own = rng.integers(config.n_batches, size=targets.max() + 1)
        moved = (targets > 0) & (rng.random(config.n_cells) < config.batch_imbalance)
        batch = np.where(moved, own[targets], batch)
    return batch, shift


def _negative_binomial(
    rng: np.random.Generator, mean: np.ndarray, concentration: float
) -> np.ndarray:
    """Draw counts; `mean` is overwritten."""
    mean *= rng.gamma(concentration, 1 / concentration, mean.shape)
    return rng.poisson(mean)


def _assemble(
    rng: np.random.Generator,
    config: SimulateConfig,
    genes: np.ndarray,
    counts: np.ndarray,
    labels: np.ndarray,
    cells: _Cells,
) -> anndata.AnnData:
    """Build the AnnData, with genes in random order."""
    names = rng.permutation([f"CELL{i:06d}" for i in range(config.n_cells)])
    order = rng.permutation(config.n_genes)
    position = np.arange(config.n_genes)
    n_network = config.n_perturbed + config.n_extended
    obs = {
        "perturbation": pd.Categorical(labels[cells.kind]),
        "qc_fail_true": cells.failed,
        "doublet_true": cells.doublet,
    }
    if config.escape_fraction:
        obs["escaped_true"] = cells.escaped
    if config.n_batches > 1:
        obs["batch"] = pd.Categorical([f"batch{number}" for number in cells.batch])
    return anndata.AnnData(
        sparse.csr_matrix(counts[:, order].astype(np.float32)),
        obs=pd.DataFrame(obs, index=names.astype(str)),
        var=pd.DataFrame(
            {
                "perturbed": (position < config.n_perturbed)[order],
                "in_network": (position < n_network)[order],
            },
            index=pd.Index(genes[order].astype(str)),
        ),
    )
