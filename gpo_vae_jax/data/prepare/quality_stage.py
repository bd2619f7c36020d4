"""Quality annotation of the chosen cells: metrics, flags, thresholds and doublets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data import gene_names
from gpo_vae_jax.data import quality_control as quality
from gpo_vae_jax.data.backend import choose_backend
from gpo_vae_jax.data.prepare.raw.raw_checks import Raw
from gpo_vae_jax.data.prepare.selection import Loaded
from gpo_vae_jax.data.prepare.stage_log import Log
from gpo_vae_jax.errors import listed

_MANY = 0.2  # a metric that fails a larger share of cells is noted


class Annotation(NamedTuple):
    """The quality of N cells."""

    failed: np.ndarray  # [N] int8, at config.qc_threshold
    columns: dict[str, np.ndarray]  # obs columns: qc_fail, metrics, flags, qc_fail_4, ...
    thresholds: dict[str, dict[str, float]]  # by MADs, then by metric


def find_doublets(raw: Raw, loaded: Loaded, config: PrepareConfig, log: Log) -> np.ndarray | None:
    """Return the doublet flags of the cells that were read, [N] int8: recorded, or by Scrublet.

    Scrublet gets the cells before any filter (docs/data.md). None if it is off.
    """
    if raw.recorded:
        return raw.recorded.doublet[loaded.rows]
    if config.scrublet == "off":
        return None
    log.start("doublets")
    batch, fewest, backend = None, 0, choose_backend(config.backend)
    if config.scrublet == "batch":
        batch, fewest = raw.obs[config.batch_key].astype(str).to_numpy(str), quality.FEWEST_CELLS
        batch = batch[loaded.rows]
        names, size = np.unique(batch, return_counts=True)
        small = names[size < fewest]
        if len(small):
            log.note(
                f"no doublets are sought in batches of obs[{config.batch_key!r}] with fewer than "
                f"{fewest} cells: {listed(small, 5)}"
            )
    elif config.scrublet == "slices":
        batch = quality.doublet_slices(raw.cells.code[loaded.rows])
    found = quality.predicted_doublets(loaded.counts, config.seed, batch, backend, fewest)
    log.done(found=int(found.sum()), scrublet=config.scrublet, backend=backend)
    return found


def annotate(
    raw: Raw,
    rows: np.ndarray,
    counts: count_matrix.CountMatrix,
    doublet: np.ndarray | None,
    config: PrepareConfig,
    log: Log,
) -> Annotation:
    """Flag the cells that fail quality control, by computed or recorded metrics.

    Args:
      raw: the checked input.
      rows: [N] the chosen rows of the input.
      counts: [N, G] of those rows.
      doublet: [N] flags of those rows; None: not sought.
      config: thresholds and metrics.
      log: records the stage and how many cells fail by each metric.
    """
    log.start("quality control")
    if raw.recorded:
        metrics = {name: v[rows] for name, v in raw.recorded.metrics.items()}
    else:
        symbols, note = gene_names.symbols(raw.var, config.gene_name_key)
        log.note(note or _without_mitochondria(symbols, config))
        backend = choose_backend(config.backend)
        metrics = quality.quality_metrics(counts, symbols, backend)
    left_out = _failing_many(metrics, config, log)
    columns, thresholds = {}, {}
    for threshold in dict.fromkeys((config.qc_threshold, *config.qc_also)):
        used = {name: metrics[name] for name in config.qc_metrics if name not in left_out}
        flags, limits = quality.quality_flags(used, threshold)
        if doublet is not None:
            flags[quality.DOUBLET] = doublet.astype(np.int8)
        none = np.zeros(len(rows), np.int8)
        failed = np.any([none, *flags.values()], axis=0).astype(np.int8)
        thresholds[f"{threshold:g}"] = limits
        if threshold == config.qc_threshold:
            columns = {"qc_fail": failed, **metrics}
            columns |= {f"qc_{name}": flag for name, flag in flags.items()}
            shares = {name: int(flag.sum()) for name, flag in flags.items()}
            log.done(failed=int(failed.sum()), **{f"by_{name}": n for name, n in shares.items()})
        else:
            columns[f"qc_fail_{threshold:g}"] = failed
    return Annotation(columns["qc_fail"], columns, thresholds)


def _without_mitochondria(symbols: Sequence[str], config: PrepareConfig) -> str:
    """Return a note if no gene is mitochondrial though their share can fail a cell."""
    if "pct_counts_mt" not in config.qc_metrics or quality.group_members(symbols)["mt"].any():
        return ""
    return (
        "no mitochondrial gene is recognised (MT-ND1, mt-Nd1, mt:ND1): their share is 0 in every "
        "cell"
    )


def _failing_many(metrics: dict[str, np.ndarray], config: PrepareConfig, log: Log) -> list[str]:
    """Return the metrics that alone fail more than a share of the cells, with notes.

    The share is `config.qc_largest_share`; cells that fail by another metric too do not count.
    """
    used = {name: metrics[name] for name in config.qc_metrics}
    flags, _ = quality.quality_flags(used, config.qc_threshold)
    left_out = []
    for name, flag in flags.items():
        others = [other for key, other in flags.items() if key != name]
        share = (flag.astype(bool) & ~np.any([np.zeros_like(flag), *others], axis=0)).mean()
        if share > config.qc_largest_share:
            left_out.append(name)
            log.note(
                f"{name} alone fails {share:.0%} of the cells and is left out of quality control: "
                "it means little for these genes (config.prepare.qc_largest_share=1 keeps it)"
            )
        elif share > _MANY:
            log.note(
                f"{name} alone fails {share:.0%} of the cells; if it means little for the "
                "measured genes, remove it from config.prepare.qc_metrics"
            )
    return left_out
