"""From raw counts to a prepared AnnData: the stages, one after the other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from importlib import metadata
from typing import Any

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data import labels, matching, quality, splits
from gpo_vae_jax.data.counterfactual import counterfactual_counts
from gpo_vae_jax.data.extended import extended_genes
from gpo_vae_jax.data.prepared import FORMAT_VERSION, RECORD
from gpo_vae_jax.data.random_by_name import hash_names
from gpo_vae_jax.data.raw_checks import check_raw, check_splits
from gpo_vae_jax.errors import DataError

Progress = Callable[[str], None]
_DEFAULT = PrepareConfig()
_MANY = 0.2  # share of cells failed by one metric that is worth a note


def prepare(
    adata: anndata.AnnData,
    config: PrepareConfig = _DEFAULT,
    progress: Progress = lambda stage: None,
) -> anndata.AnnData:
    """Make a prepared AnnData (docs/data.md) from raw counts; the input is left as it is.

    `progress` is told each stage. What was done, with counts before and after and the thresholds,
    is kept in uns['gpo_vae']. Raises DataError before any work where the input cannot be used.
    """
    progress("checking the input")
    counts = check_raw(adata, config)
    row, parts, filtered = _keep_cells(adata, config)
    names = np.asarray(adata.obs_names, dtype=str)[row]
    control, separator = config.control, config.combination_separator
    label = np.array([labels.canonical_label(genes, control, separator) for genes in parts])
    split = _split(adata, config, row, names)
    check_splits(split, label, control)

    # By name from here on: ties, sums and draws must not depend on the order of rows.
    order = np.argsort(names, kind="stable")
    row, names, label, split = row[order], names[order], label[order], split[order]
    counts = count_matrix.narrow_copy(counts, row)
    genes = [str(gene) for gene in adata.var_names]
    library = count_matrix.library_size(counts)
    factor = count_matrix.normalisation(library)

    progress("quality control")
    metrics, flags, limits = _quality(counts, genes, config)
    failed = np.any(list(flags.values()), axis=0)
    for name, flag in flags.items():
        if flag.mean() > _MANY:
            progress(
                f"note: {name} alone fails {flag.mean():.0%} of the cells; if the genes measured "
                "cannot show it, leave it out of config.prepare.qc_metrics"
            )

    perturbed = sorted({gene for genes_of_cell in parts for gene in genes_of_cell})
    progress("extended genes" if config.extended_genes != "none" else "no extended genes")
    extended = extended_genes(
        counts, label, control, genes, perturbed,
        rule=config.extended_genes,
        least_change=config.extended_log_fold_change,
        p_below=config.extended_p,
    )  # fmt: skip
    treatments = [*perturbed, *extended]

    progress("counterfactuals")
    _, label_code = labels.group_by_label(label)
    _, split_code = labels.group_by_label(split)
    counterfactual = counterfactual_counts(
        counts,
        label_code * 3 + split_code,
        failed,
        hash_names(names, config.seed, "counterfactual"),
    )

    progress("control matching")
    columns = count_matrix.gene_columns(treatments, genes)
    expression = count_matrix.log_normalised(count_matrix.columns(counts, columns), factor)
    matched = matching.match_controls(
        expression[:, : len(perturbed)], label_code, split, label == control
    )
    delta = matching.delta_expression(expression, matched)

    progress("putting it together")
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(label),
            "split": pd.Categorical(split),
            "qc_fail": failed.astype(np.int8),
            "matched_control": names[matched],
            **metrics,
            **{f"qc_{metric}": flag for metric, flag in flags.items()},
        },
        index=names,
    )
    record = {
        "format_version": FORMAT_VERSION,
        "dosage_names": np.array(treatments, dtype=object),
        "n_perturbed": len(perturbed),
        "control": control,
        "separator": separator,
        "settings": json.dumps(dataclasses.asdict(config)),
        "thresholds": json.dumps(limits),
        "counts": json.dumps({**filtered, **_tally(split, failed, perturbed, extended)}),
        "versions": json.dumps({p: metadata.version(p) for p in ("anndata", "numpy", "scanpy")}),
    }
    back = np.argsort(row, kind="stable")  # file order again
    return _assemble(adata, obs.iloc[back], counts[back], counterfactual[back], delta[back], record)


def summary(prepared: anndata.AnnData) -> list[tuple[str, str]]:
    """Give what was done as rows of a short table: (what, number)."""
    record = prepared.uns[RECORD]
    tally = json.loads(record["counts"])
    limits = json.loads(record["thresholds"])
    rows = [(name.replace("_", " "), f"{value:,}") for name, value in tally.items()]
    return rows + [(f"threshold {name}", f"{value:.6g}") for name, value in limits.items()]


def _keep_cells(
    adata: anndata.AnnData, config: PrepareConfig
) -> tuple[np.ndarray, list[tuple[str, ...]], dict[str, int]]:
    """Give the rows kept, the genes each of them perturbs, and counts before and after."""
    control, separator = config.control, config.combination_separator
    text = adata.obs[config.perturbation_key].astype(str).to_numpy()
    names, code = labels.group_by_label(text)
    genes_of = [labels.perturbed_genes(name, control, separator) for name in names]
    measured = set(map(str, adata.var_names))
    unmeasured = {gene for genes in genes_of for gene in genes} - measured
    # "A+B" and "B+A" are one perturbation
    canonical, group = labels.group_by_label(
        np.array([labels.canonical_label(genes, control, separator) for genes in genes_of])
    )
    code_cells = np.bincount(group[code], minlength=len(canonical))
    usable = np.array([measured.issuperset(genes) for genes in genes_of])
    enough = np.array([not genes for genes in genes_of]) | (code_cells[group] > config.min_cells)
    row = np.flatnonzero((usable & enough)[code])
    if not any(genes_of[i] for i in np.unique(code[row])):
        raise DataError(
            "no perturbation is left: "
            f"{len(unmeasured)} perturbed genes are not measured ({labels.listed(unmeasured, 5)}), "
            f"{int((usable & ~enough).sum())} perturbations have at most "
            f"{config.min_cells} cells; var names must be the names used in "
            f"obs[{config.perturbation_key!r}]"
        )
    tally = {
        "cells_in_input": adata.n_obs,
        "genes": adata.n_vars,
        "perturbed_genes_not_measured": len(unmeasured),
        "cells_dropped_not_measured": int((~usable)[code].sum()),
        "perturbations_dropped_too_few_cells": len(set(group[usable & ~enough])),
        "cells_dropped_too_few_cells": int((usable & ~enough)[code].sum()),
        "cells_kept": len(row),
    }
    return row, [genes_of[i] for i in code[row]], tally


def _split(
    adata: anndata.AnnData, config: PrepareConfig, row: np.ndarray, names: np.ndarray
) -> np.ndarray:
    """Give the split of the kept cells: the file's own, or drawn."""
    if config.split_key:
        return adata.obs[config.split_key].astype(str).to_numpy().astype(str)[row]
    if config.split == "reference":
        return splits.split_by_row(len(row))
    return splits.split_by_name(names, config.seed)


def _quality(
    counts: count_matrix.CountMatrix, genes: list[str], config: PrepareConfig
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, float]]:
    """Give quality metrics, flags and thresholds by name."""
    metrics = quality.quality_metrics(counts, genes)
    used = {name: metrics[name] for name in config.qc_metrics}
    flags, limits = quality.quality_flags(used, config.qc_threshold)
    if config.doublets:
        flags["predicted_doublet"] = quality.predicted_doublets(counts, config.seed)
    return metrics, flags or {"none": np.zeros(counts.shape[0], np.int8)}, limits


def _tally(split, failed, perturbed, extended) -> dict[str, int]:
    cells = {f"cells_{name}": int((split == name).sum()) for name in ("train", "val", "test")}
    return {
        **cells,
        "cells_failed_quality": int(failed.sum()),
        "perturbed_genes": len(perturbed),
        "extended_genes": len(extended),
    }


def _assemble(adata, obs, counts, counterfactual, delta, record: dict[str, Any]) -> anndata.AnnData:
    """Put the result together, with the other columns of the input kept."""
    kept = adata.obs.loc[obs.index].drop(columns=[c for c in obs if c in adata.obs])
    return anndata.AnnData(
        X=counts,
        obs=pd.concat([kept, obs], axis=1),
        var=adata.var.copy(),
        layers={"counterfactual": counterfactual},
        obsm={"delta_x": delta},
        uns={**adata.uns, RECORD: record},
    )
