"""Who is in the network besides the perturbed genes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare.raw.gene_lookup import GeneLookup
from gpo_vae_jax.data.prepare.raw.raw_checks import Raw
from gpo_vae_jax.data.prepare.responsive_genes import extended_genes, most_responsive
from gpo_vae_jax.data.prepare.stage_log import Log
from gpo_vae_jax.errors import DataError, listed

_SETTING = "config.prepare.network_genes"


def check_choice(raw: Raw, config: PrepareConfig) -> None:
    """Check what needs no counts: a file of genes that can be read, a size that is allowed.

    Raises:
      DataError: the file is missing or names no measured gene, or there are more genes than
        `config.network_most`.
    """
    choice, measured = config.network_genes, len(raw.var)
    asked = measured if choice == "all" else int(choice) if choice.isdigit() else 0
    if choice not in ("extended", "perturbed", "all") and not choice.isdigit():
        named, _ = _from_file(raw, choice, config.gene_name_key)
        asked = len(named)
    if asked > config.network_most:
        raise DataError(
            f"{_SETTING}={choice}: {asked:,} network genes are more than "
            f"config.prepare.network_most={config.network_most:,}; name the most responsive "
            f"({_SETTING}=500) or a file of names, or raise the limit"
        )


def other_genes(
    raw: Raw,
    counts: count_matrix.CountMatrix,
    label: np.ndarray,
    perturbed: Sequence[str],
    config: PrepareConfig,
    log: Log,
) -> tuple[str, ...]:
    """Return the network genes that are not perturbed, sorted, by `config.network_genes`.

    Args:
      raw: the checked input.
      counts: [N, G] of the chosen cells.
      label: [N] their perturbation.
      perturbed: the perturbed genes.
      config: the choice, and the rule of the extended genes.
      log: records the stage.
    """
    choice, control = config.network_genes, raw.cells.control
    if choice == "perturbed" or (choice == "extended" and config.extended_genes == "none"):
        return ()
    log.start("extended genes" if choice == "extended" else "network genes")
    if choice == "all":
        counted = np.asarray(counts.sum(axis=0)).ravel() > 0
        found = tuple(sorted(set(np.asarray(raw.genes)[counted].tolist()) - set(perturbed)))
        absent = int((~counted).sum())
        log.note(f"{absent} genes without any count stay out of the network" if absent else "")
        log.done(genes=len(found), by="all measured genes")
    elif choice.isdigit():
        found = most_responsive(counts, label, control, raw.genes, perturbed, int(choice))
        log.done(genes=len(found), by="response")
    elif choice == "extended":
        found = _extended(raw, counts, label, perturbed, config, log)
    else:
        named, note = _from_file(raw, choice, config.gene_name_key)
        log.note(note)
        found = tuple(sorted(set(named) - set(perturbed)))
        log.done(genes=len(found), by=choice)
    return found


def _extended(
    raw: Raw,
    counts: count_matrix.CountMatrix,
    label: np.ndarray,
    perturbed: Sequence[str],
    config: PrepareConfig,
    log: Log,
) -> tuple[str, ...]:
    """Return the extended genes: recorded ones, or by differential expression."""
    if raw.recorded:
        found = tuple(sorted(set(raw.recorded.extended) - set(perturbed)))
        log.done(genes=len(found), by="record")
        return found
    limits = {"least_change": config.extended_log_fold_change, "p_below": config.extended_p}
    found = extended_genes(
        counts, label, raw.cells.control, raw.genes, perturbed,
        rule=config.extended_genes, **limits,
    )  # fmt: skip
    log.done(genes=len(found), rule=config.extended_genes, **limits)
    return found


def _from_file(raw: Raw, path: str, key: str) -> tuple[Collection[str], str]:
    """Return the measured genes that a file names, and a note on the others."""
    file = Path(path)
    if not file.is_file():
        raise DataError(
            f"{_SETTING}={path}: it must be extended, perturbed, all, a number of genes, or a "
            "file with a name in each line; there is no such file"
        )
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{_SETTING}: {path!r} is no text file of names: {error}") from error
    names = [line.replace("\t", ",").split(",")[0].strip().strip('"') for line in lines]
    names = [name for name in names if name and not name.startswith("#")]
    lookup = GeneLookup(raw.var, key)
    found = {name: lookup.find(name)[0] for name in names}
    genes = {gene for gene in found.values() if gene}
    absent = sorted(name for name, gene in found.items() if not gene)
    if not genes:
        raise DataError(
            f"{_SETTING}: {path!r} names no measured gene, but {listed(names, 4) or 'nothing'}"
            f"{lookup.proposals(names)}"
        )
    note = f"{len(absent)} of {len(found)} names in {path} are not measured: {listed(absent, 5)}"
    return genes, note if absent else ""
