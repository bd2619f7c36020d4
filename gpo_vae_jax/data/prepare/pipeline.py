"""From raw counts to a prepared AnnData: the stages in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import anndata
import numpy as np
import pandas as pd

from gpo_vae_jax import config_io
from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data import labels
from gpo_vae_jax.data.prepare import splits
from gpo_vae_jax.data.prepare.counterfactual import counterfactual_counts
from gpo_vae_jax.data.prepare.extended import extended_genes
from gpo_vae_jax.data.prepare.matching.control_matching import delta_expression, match_controls
from gpo_vae_jax.data.prepare.quality_stage import annotate, find_doublets
from gpo_vae_jax.data.prepare.raw.conventions import guess_convention
from gpo_vae_jax.data.prepare.raw.perturbed_genes import joined_by
from gpo_vae_jax.data.prepare.raw.published_columns import Recorded
from gpo_vae_jax.data.prepare.raw.raw_checks import Raw, check_raw, check_splits
from gpo_vae_jax.data.prepare.selection import select
from gpo_vae_jax.data.prepare.stage_log import Log, make_record
from gpo_vae_jax.data.prepared.preparation_record import RECORD
from gpo_vae_jax.statistics.random_by_name import hash_names

_DEFAULT = PrepareConfig()


def prepare(
    adata: anndata.AnnData,
    config: PrepareConfig = _DEFAULT,
    progress: Callable[[str], None] | None = None,
    *,
    guess: bool = False,
) -> anndata.AnnData:
    """Prepare raw counts in memory (docs/data.md); the input is left unchanged.

    Args:
      adata: raw UMI counts [N, G] with a perturbation column in obs; may be backed by its file.
      config: every setting of the preparation.
      progress: called with the name of each stage as it starts, and with "note: ..." lines.
      guess: if the perturbation column and the control label are still at their defaults and do not
        fit, use the one well-known convention that does (`raw.conventions`).

    Returns:
      A new AnnData of the kept cells, as docs/data.md describes a prepared file. Cell counts before
      and after each stage, thresholds and notes are in uns['gpo_vae'].

    Raises:
      ConfigError: a setting is out of range.
      DataError: the input cannot be prepared. Only filters that leave nothing fail after the
        checks; everything else fails before any work.
    """
    config_io.from_dict({"prepare": dataclasses.asdict(config)})
    log = Log(progress or (lambda said: None))
    log.start("input")
    if guess:
        config, said = guess_convention(cast(pd.DataFrame, adata.obs), config)
        log.note(said and f"guessed: {said}")
    raw = check_raw(adata, config)
    for sentence in raw.recorded.said if raw.recorded else ():
        log.note(sentence)

    # Cells are sorted by name from here on: ties, sums and draws must not depend on the row order.
    loaded = select(raw, config, log)
    rows = loaded.rows[loaded.keep]
    names = np.asarray(raw.obs.index, dtype=str)[rows]
    code, is_control = raw.cells.code[rows], raw.cells.is_control[rows]
    split = _split(raw, rows, names, config, log)
    separator = joined_by([raw.cells.genes[c] for c in np.unique(code)])
    doublet = find_doublets(raw, loaded, config, log)
    doublet = None if doublet is None else doublet[loaded.keep]
    counts = loaded.counts if loaded.keep.all() else loaded.counts[loaded.keep]
    del loaded
    quality = annotate(raw, rows, counts, doublet, config, log)

    perturbed = sorted({gene for c in np.unique(code) for gene in raw.cells.genes[c]})
    label = np.array([separator.join(group) or config.control for group in raw.cells.genes])[code]
    extended = _extended(raw, counts, label, perturbed, config, log)
    treatments = [*perturbed, *extended]

    log.start("counterfactuals")
    _, split_code = labels.group_by_label(split)
    hashes = hash_names(names, config.seed, "counterfactual")
    failed = quality.failed.astype(bool)
    counterfactual = counterfactual_counts(counts, code * 3 + split_code, failed, hashes)
    log.done(cells_with_one=int((count_matrix.library_size(counterfactual) > 0).sum()))

    log.start("control matching")
    expression = _expression(counts, treatments, raw.genes)
    matched = _recorded_matches(raw.recorded, rows, split, log)
    if matched is None:
        of_perturbed = expression[:, : len(perturbed)]
        matched = match_controls(of_perturbed, code, split, is_control, config.matching)
        log.done(by=config.matching)
    delta = delta_expression(expression, matched)

    log.start("assembly")
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(label),
            "split": pd.Categorical(split),
            "matched_control": names[matched],
            **quality.columns,
        },
        index=names,
    )
    cells_of = {f"cells_{name}": int((split == name).sum()) for name in ("train", "val", "test")}
    tally = {
        "cells_in_input": adata.n_obs,
        "genes": len(raw.var),
        "cells_kept": len(rows),
        **cells_of,
        "cells_failed_quality": int(failed.sum()),
        "perturbed_genes": len(perturbed),
        "extended_genes": len(extended),
    }
    record = make_record(
        config, log, tally, quality.thresholds,
        treatments=treatments, n_perturbed=len(perturbed), separator=separator,
        unmeasured=sorted(set(perturbed) - set(raw.genes)),
    )  # fmt: skip
    back = np.argsort(rows, kind="stable")  # the order of the input again
    kept = raw.obs.iloc[rows[back]]
    return anndata.AnnData(
        X=counts[back],
        obs=pd.concat([kept.drop(columns=[c for c in obs if c in kept]), obs.iloc[back]], axis=1),
        var=raw.var.copy(),
        layers={"counterfactual": counterfactual[back]},
        obsm=dict[str, Any](delta_x=delta[back]),
        uns={**adata.uns, RECORD: record},
    )


def _split(
    raw: Raw, rows: np.ndarray, names: np.ndarray, config: PrepareConfig, log: Log
) -> np.ndarray:
    """Return the split of the chosen cells, [len(rows)] text: that of the input, or a new one."""
    log.start("split")
    if raw.split is not None:
        split, by = raw.split[rows], f"obs[{config.split_key!r}]"
    elif config.split == "reference":
        split, by = splits.split_by_row(len(rows))[np.argsort(np.argsort(rows))], "row order"
    else:
        split, by = splits.split_by_name(names, config.seed), "cell names"
    absent = check_splits(split, raw.cells, rows)
    for name, missing in absent.items():
        log.note(f"{len(missing)} perturbations have no cells in {name!r}")
    log.done(by=by, **{f"without_cells_in_{name}": absent[name] for name in absent})
    return split


def _extended(
    raw: Raw,
    counts: count_matrix.CountMatrix,
    label: np.ndarray,
    perturbed: Sequence[str],
    config: PrepareConfig,
    log: Log,
) -> tuple[str, ...]:
    """Return the extended genes, sorted: recorded ones, or by differential expression."""
    if config.extended_genes == "none":
        return ()
    log.start("extended genes")
    if raw.recorded:
        found = tuple(sorted(set(raw.recorded.extended) - set(perturbed)))
        log.done(genes=len(found), by="record")
        return found
    limits = {"least_change": config.extended_log_fold_change, "p_below": config.extended_p}
    found = extended_genes(
        counts, label, config.control, raw.genes, perturbed,
        rule=config.extended_genes, **limits,
    )  # fmt: skip
    log.done(genes=len(found), rule=config.extended_genes, **limits)
    return found


def _expression(
    counts: count_matrix.CountMatrix, treatments: Sequence[str], genes: Sequence[str]
) -> np.ndarray:
    """Return the log-normalised expression of the treatments, [N, T]; nan if not measured."""
    factor = count_matrix.normalisation(count_matrix.library_size(counts))
    columns = count_matrix.gene_columns(treatments, genes)
    expression = np.full((counts.shape[0], len(treatments)), np.nan)
    measured = columns >= 0
    values = count_matrix.columns(counts, columns[measured])
    expression[:, measured] = count_matrix.log_normalised(values, factor)
    return expression


def _recorded_matches(
    recorded: Recorded | None, rows: np.ndarray, split: np.ndarray, log: Log
) -> np.ndarray | None:
    """Return the recorded matches as positions among the chosen cells; None if there are none."""
    if recorded is None or recorded.matched is None:
        return None
    matched = pd.Index(rows).get_indexer(
        pd.Index(recorded.matched[rows])
    )  # controls are never dropped
    elsewhere = int((split[matched] != split).sum())
    log.note(f"{elsewhere} recorded matches are in another split" if elsewhere else "")
    log.done(by="record", in_another_split=elsewhere)
    return matched
