"""GPO-VAE as a network method of the CausalBench harness (docs/evaluation.md)."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax import presets
from gpo_vae_jax.api.findings import network
from gpo_vae_jax.api.fitting import train
from gpo_vae_jax.api.inputs import prepare
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError, DataError

CONTROL = "non-targeting"  # CausalBench's label of unperturbed cells
EXCLUDED = "excluded"  # its label of cells whose perturbed gene is not among the genes
Edge = tuple[str, str]
_LEAST_COUNTS = 100  # the smallest count of a cell is searched up to here
_ROWS = 4096  # cells whose counts are recovered at a time
_SHARES = {"val": 0.1, "test": 0.02}  # the harness keeps test cells of its own


class PseudoCounts(NamedTuple):
    """Counts recovered from log-normalised values."""

    counts: np.ndarray  # [N, G] int32
    exact_share: float  # of the cells: their values were multiples of one number


def network_method(
    *, n_edges: int | None = 1000, fdr: float | None = None, config: Config | None = None
) -> type:
    """Return a class for CausalBench: its `AbstractInferenceModel`, which makes a network.

    A file for `--inference_function_file_path` needs two lines:

        from gpo_vae_jax.api.causalbench import network_method
        GpoVae = network_method(n_edges=1000)

    Args:
      n_edges: edges of the network, the strongest; None for all pairs with a perturbed source.
      fdr: instead, the edges that are called at this expected false discovery rate.
      config: settings of preparation and training; by default `presets.accurate()`.

    Raises:
      ConfigError: an argument is out of range, or CausalBench is not installed.
    """
    _check(n_edges, fdr)
    try:
        from causalscbench.models.abstract_model import AbstractInferenceModel
    except ImportError as error:
        raise ConfigError(
            "CausalBench is not installed: pip install --no-deps causalbench"
        ) from error

    class GpoVaeNetwork(AbstractInferenceModel):
        """GPO-VAE; `network` has every edge of the last call with its probability."""

        network: pd.DataFrame | None = None

        def __call__(
            self,
            expression_matrix: np.ndarray,
            interventions: Iterable[str],
            gene_names: Sequence[str],
            training_regime: Any = None,
            seed: int = 0,
        ) -> list[Edge]:
            """Return edges (source, target), the strongest first."""
            del training_regime  # the labels say which genes are perturbed
            self.network = infer_network(
                expression_matrix, interventions, gene_names,
                n_edges=n_edges, fdr=fdr, config=config, seed=seed,
            )  # fmt: skip
            return edge_list(self.network)

    return GpoVaeNetwork


def infer_network(
    expression_matrix: np.ndarray,
    interventions: Iterable[str],
    gene_names: Sequence[str],
    *,
    n_edges: int | None = 1000,
    fdr: float | None = None,
    config: Config | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Train on data in CausalBench's form and return the network, the strongest edge first.

    Args:
      expression_matrix: [N, G] log(1 + scaled counts), as its data sets have them, or counts.
      interventions: [N] the perturbed gene of each cell, "non-targeting", or "excluded": such cells
        are left out.
      gene_names: G names.
      n_edges: edges to return; None for all pairs with a perturbed source.
      fdr: instead, the edges that are called at this expected false discovery rate.
      config: settings of preparation and training; by default `presets.accurate()`.
      seed: of preparation and training.

    Returns:
      Rows of `gv.network` whose source is perturbed. A gene without perturbed cells can be a
      target; as a source it would have no cell that shows what it does.

    Raises:
      ConfigError: `n_edges` or `fdr` is out of range.
      DataError: sizes do not fit, or no cell is perturbed (the observational regime), or none is
        not.
    """
    _check(n_edges, fdr)
    adata = as_screen(expression_matrix, interventions, gene_names, seed)
    config = presets.accurate() if config is None else config
    chosen = dataclasses.replace(
        config.prepare,
        perturbation_key="perturbation",
        control=CONTROL,
        combination_separator="",
        guide_labels="whole",
        network_genes="all",
        network_most=max(config.prepare.network_most, adata.n_vars),
        counts="trust",
        split_key="split",
        seed=seed,
    )
    prepared = prepare(adata, chosen, progress=False)
    trained = train(prepared, config, seeds=seed, progress=False)
    edges = network(trained, fdr=fdr)
    edges = edges[edges["source_perturbed"]]
    edges = edges if fdr is not None or n_edges is None else edges.head(n_edges)
    return edges.assign(rank=np.arange(1, len(edges) + 1)).reset_index(drop=True)


def edge_list(edges: pd.DataFrame) -> list[Edge]:
    """Return (source, target) of each row."""
    return [(str(a), str(b)) for a, b in zip(edges["source"], edges["target"], strict=True)]


def as_screen(
    expression_matrix: np.ndarray,
    interventions: Iterable[str],
    gene_names: Sequence[str],
    seed: int = 0,
) -> anndata.AnnData:
    """Return data in CausalBench's form as raw counts, ready for `gv.prepare`.

    Cells labelled "excluded" and cells without any count are left out. `obs["split"]` keeps most
    cells for training, since the harness has test cells of its own.

    Raises:
      DataError: sizes do not fit, or no cell is perturbed, or none is not.
    """
    labels = np.array([str(label) for label in interventions])
    genes = [str(name) for name in gene_names]
    if np.shape(expression_matrix) != (len(labels), len(genes)):
        raise DataError(
            f"expression_matrix has shape {np.shape(expression_matrix)}, but there are "
            f"{len(labels)} interventions and {len(genes)} gene names"
        )
    if not (labels == CONTROL).any():
        raise DataError(f"no cell has the label {CONTROL!r}; edges are changes from such cells")
    if not np.isin(labels, [CONTROL, EXCLUDED], invert=True).any():
        raise DataError(
            "no cell is perturbed: GPO-VAE learns edges from perturbed cells, and the "
            "observational regime has none"
        )
    keep = np.flatnonzero(labels != EXCLUDED)
    found = pseudo_counts(np.asarray(expression_matrix)[keep])
    if found.exact_share < 0.99:
        warnings.warn(
            f"{1 - found.exact_share:.0%} of the cells are not log-normalised counts; their "
            "values, expm1(x), are rounded to whole numbers",
            stacklevel=2,
        )
    some = found.counts.sum(axis=1) > 0
    counts, labels = found.counts[some], labels[keep][some]
    place = np.random.default_rng(seed).permutation(len(labels)) / len(labels)
    split = np.where(place < _SHARES["test"], "test", "train")
    split[(place >= _SHARES["test"]) & (place < sum(_SHARES.values()))] = "val"
    obs = pd.DataFrame(
        {"perturbation": pd.Categorical(labels), "split": pd.Categorical(split)},
        index=pd.Index([f"cell{i}" for i in keep[some]]),
    )
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=pd.Index(genes)))


def pseudo_counts(expression: np.ndarray) -> PseudoCounts:
    """Recover counts from log(1 + counts of a cell * a factor of the cell).

    The values of a cell are then whole multiples of its factor, the largest number for which they
    are so: counts are found up to a divisor that all counts of a cell share. A cell for which none
    fits keeps expm1(x), rounded. Whole numbers are taken as counts.

    Args:
      expression: [N, G].

    Raises:
      DataError: a value is negative or not finite.
    """
    expression = np.asarray(expression)
    if not np.isfinite(expression).all() or (expression < 0).any():
        raise DataError("expression_matrix has values that are negative or not finite")
    if (expression == np.round(expression)).all():
        return PseudoCounts(expression.astype(np.int32), 1.0)
    counts, exact = np.empty(expression.shape, np.int32), 0
    for start in range(0, len(expression), _ROWS):
        part = np.expm1(expression[start : start + _ROWS].astype(np.float64))
        least = np.where(part > 0, part, np.inf).min(axis=1)
        unit = part / np.where(np.isfinite(least), least, 1.0)[:, None]
        found, open_ = np.round(part), np.arange(len(part))
        for smallest in range(1, _LEAST_COUNTS + 1):
            multiple = unit[open_] * smallest
            whole = np.round(multiple)
            fits = (np.abs(multiple - whole) <= 1e-3 + 2e-6 * whole).all(axis=1)
            found[open_[fits]] = whole[fits]
            open_ = open_[~fits]
        counts[start : start + _ROWS] = found
        exact += len(part) - len(open_)
    return PseudoCounts(counts, exact / max(1, len(expression)))


def _check(n_edges: int | None, fdr: float | None) -> None:
    if n_edges is not None and n_edges < 1:
        raise ConfigError(f"n_edges={n_edges} must be at least 1, or None for all pairs")
    if fdr is not None and not 0 <= fdr <= 1:
        raise ConfigError(f"fdr={fdr} must be between 0 and 1")
