"""Over-representation of gene sets among the targets of a regulator, by gseapy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.evaluate.knowledge.formats import gene_sets
from gpo_vae_jax.evaluate.knowledge.names import positions

COLUMNS = (
    *("regulator", "gene_set", "n_shared", "n_targets", "set_size", "n_background"),
    *("odds_ratio", "p_value", "adjusted_p_value", "genes"),
)
_NONE: Mapping[str, str] = {}


def enrichment(
    probabilities: np.ndarray,
    treatments: Sequence[str],
    n_perturbed: int,
    gmt: str | os.PathLike[str],
    *,
    threshold: float = 0.5,
    aliases: Mapping[str, str] = _NONE,
    min_targets: int = 3,
    min_set: int = 3,
) -> pd.DataFrame:
    """Test the called targets of every perturbed regulator for over-representation of gene sets.

    The background of a regulator is all other treatments, since only they could be its targets. The
    test is hypergeometric. P-values are adjusted (Benjamini-Hochberg) over all regulators and sets
    together, including those that share no gene (p = 1). See docs/method.md 8.7.

    Args:
      probabilities: [T, T].
      treatments: T names.
      n_perturbed: R; the first R treatments are perturbed.
      gmt: a file of gene sets, such as MSigDB's.
      threshold: an edge is called above this probability.
      aliases: other name -> gene, as in `Dataset.conventions`.
      min_targets: regulators with fewer called targets are not tested.
      min_set: sets with fewer genes among the treatments are not tested.

    Returns:
      A row for every regulator and set that share a gene, sorted by p-value, with `COLUMNS`.

    Raises:
      ConfigError: gseapy is not installed.
      DataError: the file cannot be read, or no set has `min_set` genes among the treatments.
    """
    enrich = _gseapy().enrich
    names = [str(name) for name in treatments]
    sets = _over_treatments(gmt, names, aliases, min_set)
    called = np.asarray(probabilities) > threshold
    np.fill_diagonal(called, False)
    # Codes instead of names: gseapy changes the case of some names and reads numbers as ids.
    codes = [f"GENE{i}" for i in range(len(names))]
    rows: list[dict[str, Any]] = []
    n_tests = 0
    for i in np.flatnonzero(called[:n_perturbed].sum(axis=1) >= min_targets):
        background = set(range(len(names))) - {int(i)}
        tested = {term: members & background for term, members in sets.items()}
        tested = {term: members for term, members in tested.items() if len(members) >= min_set}
        targets = set(map(int, np.flatnonzero(called[i])))
        n_tests += len(tested)
        tested = {term: members for term, members in tested.items() if members & targets}
        if not tested:
            continue
        found = enrich(
            gene_list=[codes[j] for j in sorted(targets)],
            gene_sets={term: [codes[j] for j in sorted(m)] for term, m in tested.items()},
            background=[codes[j] for j in sorted(background)],
            outdir=None,
            no_plot=True,
        ).results
        for row in found.to_dict("records"):
            members = tested[row["Term"]]
            rows.append({
                "regulator": names[i],
                "gene_set": row["Term"],
                "n_shared": len(members & targets),
                "n_targets": len(targets),
                "set_size": len(members),
                "n_background": len(background),
                "odds_ratio": float(row["Odds Ratio"]),
                "p_value": min(float(row["P-value"]), 1.0),
                "genes": ";".join(names[j] for j in sorted(members & targets)),
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "adjusted_p_value"])
    p_values = np.ones(n_tests)
    p_values[: len(table)] = table["p_value"]
    adjusted = stats.false_discovery_control(p_values)[: len(table)] if n_tests else []
    table.insert(COLUMNS.index("adjusted_p_value"), "adjusted_p_value", adjusted)
    order = ["p_value", "regulator", "gene_set"]
    return table.sort_values(order, kind="stable").reset_index(drop=True)


def _over_treatments(
    gmt: str | os.PathLike[str], names: Sequence[str], aliases: Mapping[str, str], least: int
) -> dict[str, set[int]]:
    sets = gene_sets(gmt)
    at = positions({gene for genes in sets.values() for gene in genes}, names, aliases)
    over = {term: {at[gene] for gene in genes if gene in at} for term, genes in sets.items()}
    over = {term: members for term, members in over.items() if len(members) >= least}
    if not over:
        example = next((gene for genes in sets.values() for gene in genes), "none")
        raise DataError(
            f"{str(gmt)!r}: none of its {len(sets)} gene sets has {least} genes among the "
            f"{len(names)} treatments (genes such as {example}, treatments such as {names[0]})"
        )
    return over


def _gseapy() -> Any:
    try:
        import gseapy
    except ImportError as error:
        raise ConfigError(
            "enrichment needs gseapy, which is not installed: pip install 'gpo-vae-jax[analysis]'"
        ) from error
    return gseapy
