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
from gpo_vae_jax.data.prepare.annotation import storable, with_new_columns
from gpo_vae_jax.data.prepare.counterfactual import counterfactual_counts
from gpo_vae_jax.data.prepare.matching.control_matching import delta_expression, match_controls
from gpo_vae_jax.data.prepare.network_genes import check_choice, other_genes
from gpo_vae_jax.data.prepare.peak_memory import memory_in_words
from gpo_vae_jax.data.prepare.quality_stage import annotate, find_doublets
from gpo_vae_jax.data.prepare.raw.conventions import guess_convention
from gpo_vae_jax.data.prepare.raw.covariate_columns import note_categories
from gpo_vae_jax.data.prepare.raw.features import find_genes
from gpo_vae_jax.data.prepare.raw.perturbed_genes import joined_by
from gpo_vae_jax.data.prepare.raw.published_columns import Recorded
from gpo_vae_jax.data.prepare.raw.raw_checks import check_raw
from gpo_vae_jax.data.prepare.reading.guide_assignment import (
    ASSIGNED,
    GUIDE_NAMES,
    assign_guides,
    guide_block,
)
from gpo_vae_jax.data.prepare.screen_stage import check_screen
from gpo_vae_jax.data.prepare.selection import select
from gpo_vae_jax.data.prepare.split_stage import split_cells
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
    said: Sequence[str] = (),
) -> anndata.AnnData:
    """Prepare raw counts in memory (docs/data.md); the input is left unchanged.

    Args:
      adata: raw UMI counts [N, G] with a perturbation column in obs; may be backed by its file.
      config: every setting of the preparation.
      progress: called with the name of each stage as it starts, and with lines that begin with
        "note: " or "memory: ".
      guess: if the perturbation column and the control label are still at their defaults and do not
        fit, use the one well-known convention that does (`raw.conventions`).
      said: notes on how the input was read.

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
    for sentence in said:
        log.note(sentence)
    obs, config = _annotated(adata, config, guess, log)
    raw = check_raw(adata, config, obs)
    check_choice(raw, config)
    if progress:
        progress(f"memory: {memory_in_words(raw.counts.matrix)}")
    for sentence in (*raw.said, *(raw.recorded.said if raw.recorded else ())):
        log.note(sentence)

    # Cells are sorted by name from here on: ties, sums and draws must not depend on the row order.
    loaded = select(raw, config, log)
    names = np.asarray(raw.obs.index, dtype=str)
    chosen = loaded.rows[loaded.keep]
    split, trained = split_cells(raw, chosen, names[chosen], config, log)
    rows, split = chosen[trained], split[trained]
    keep = loaded.keep.copy()
    keep[loaded.keep] = trained
    names = names[rows]
    code, is_control = raw.cells.code[rows], raw.cells.is_control[rows]
    covariates = {name: values[rows] for name, values in raw.covariates.items()}
    note_categories(covariates, split, is_control, log)
    separator = joined_by([raw.cells.genes[c] for c in np.unique(code)])
    doublet = find_doublets(raw, loaded, config, log)
    doublet = None if doublet is None else doublet[keep]
    counts = loaded.counts if keep.all() else loaded.counts[keep]
    del loaded
    quality = annotate(raw, rows, counts, doublet, config, log)

    perturbed = sorted({gene for c in np.unique(code) for gene in raw.cells.genes[c]})
    control = raw.cells.control
    label = np.array([separator.join(group) or control for group in raw.cells.genes])[code]
    seen = np.isin(label, label[split == "train"])  # held-out perturbations choose no genes
    some = (counts, label) if seen.all() else (counts[seen], label[seen])
    extended = other_genes(raw, *some, perturbed, config, log)
    treatments = [*perturbed, *extended]

    target = np.array([of[0] if len(of) == 1 else "" for of in raw.cells.genes])[code]
    guide = None if raw.guide is None else raw.guide[rows]
    screen = check_screen(counts, raw.genes, guide, target, is_control, log)

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
        batch = covariates.get(config.batch_key)
        matched = match_controls(of_perturbed, code, split, is_control, config.matching, batch)
        log.done(by=config.matching, **({} if batch is None else {"within": config.batch_key}))
    delta = delta_expression(expression, matched)

    log.start("assembly")
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(label),
            "split": pd.Categorical(split),
            "matched_control": names[matched],
            **({} if raw.guide is None else {"guide": pd.Categorical(raw.guide[rows])}),
            **{name: pd.Categorical(values) for name, values in covariates.items()},
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
    back = np.argsort(rows, kind="stable")  # the order of the input again
    annotated = with_new_columns(raw.obs.iloc[rows[back]], obs.iloc[back], log)
    record = make_record(
        config, log, tally, quality.thresholds,
        treatments=treatments, n_perturbed=len(perturbed), separator=separator,
        unmeasured=sorted(set(perturbed) - set(raw.genes)), control=control,
        labels=_renamed(raw.text[rows], label), covariates=list(covariates),
    )  # fmt: skip
    return anndata.AnnData(
        X=counts[back],
        obs=annotated,
        var=storable(raw.var.copy()),
        layers={"counterfactual": counterfactual[back]},
        obsm=dict[str, Any](delta_x=delta[back]),
        uns={**{k: v for k, v in adata.uns.items() if k != GUIDE_NAMES}, RECORD: record | screen},
    )


def _annotated(
    adata: anndata.AnnData, config: PrepareConfig, guess: bool, log: Log
) -> tuple[pd.DataFrame, PrepareConfig]:
    """Return obs and the settings: with assigned guides and guessed conventions where needed."""
    obs = cast(pd.DataFrame, adata.obs)
    known = find_genes(cast(pd.DataFrame, adata.var)).var.index
    found, sentence = guess_convention(obs, config, known) if guess else (config, "")
    if found.perturbation_key not in obs:
        block = guide_block(adata)
        if block:
            least = {"least": config.guide_min_umi, "share": config.guide_min_share}
            assigned = assign_guides(*block, **least)
            log.note(assigned.said)
            obs = obs.assign(**{ASSIGNED: assigned.labels})
            found, sentence = guess_convention(obs, config, known) if guess else (config, "")
    log.note(sentence and f"guessed: {sentence}")
    return obs, found


def _renamed(text: np.ndarray, label: np.ndarray) -> dict[str, str]:
    """Return the labels of the input that have another name now, and that name."""
    pairs = pd.DataFrame({"text": text, "label": label}).drop_duplicates()
    pairs = pairs[pairs["text"] != pairs["label"]].sort_values("text")
    return dict(zip(pairs["text"].tolist(), pairs["label"].tolist(), strict=True))


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
