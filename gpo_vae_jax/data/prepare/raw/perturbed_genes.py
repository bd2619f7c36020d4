"""The perturbed genes of each cell, by their var names, as its label names them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import gene_names, labels
from gpo_vae_jax.data.prepare.raw.control_labels import find_controls, once
from gpo_vae_jax.data.prepare.raw.conventions import control_advice
from gpo_vae_jax.data.prepare.raw.gene_lookup import GeneLookup
from gpo_vae_jax.data.prepare.raw.label_reader import LabelReader, Name
from gpo_vae_jax.data.prepare.raw.label_table import (
    cellxgene_names,
    read_label_table,
    translated,
)
from gpo_vae_jax.data.prepare.raw.unlabelled import UNKNOWN, says_nothing
from gpo_vae_jax.errors import DataError, listed

_EXAMPLES = 3


class Perturbations(NamedTuple):
    """The perturbation of each of N cells."""

    code: np.ndarray  # [N] index into `genes`
    genes: list[tuple[str, ...]]  # the genes of each perturbation, sorted; () is the control
    names: dict[str, set[str]]  # every name of each perturbed gene, its own included
    control: str  # the label of control cells in the prepared file
    labelled: np.ndarray  # [N] bool: the others have no known perturbation, and are left out
    guides: bool  # whether labels tell guides of one gene, or of the control, apart
    spelled: frozenset[str]  # names as labels spell them
    apart: frozenset[str]  # perturbations kept apart from others of their gene
    said: tuple[str, ...]  # notes on how labels were read

    @property
    def is_control(self) -> np.ndarray:
        """Return which cells are controls, [N]."""
        return np.array([not genes for genes in self.genes])[self.code] & self.labelled

    def counted(self, rows: np.ndarray) -> int:
        """Return the number of perturbations among some cells, without the control."""
        return sum(bool(self.genes[code]) for code in np.unique(self.code[rows]))


def read_perturbations(
    text: np.ndarray,
    obs: pd.DataFrame,
    var: pd.DataFrame,
    config: PrepareConfig,
    uns: Mapping[str, Any] | None = None,
) -> Perturbations:
    """Parse the labels of the cells (docs/data.md, Labels).

    Labels are split where names are joined (labels.cut_label). A name that is another name of a
    var name (gene_lookup) or of one of its guides (guide_labels) is replaced by it; an unknown name
    stays. Labels of the same genes are one perturbation, unless they tell apart what was done.

    Args:
      text: [N] labels; "" where there is none.
      obs: N rows, which may have other names of the perturbed genes.
      var: G rows, which may have other names of the genes.
      config: control labels, separator, and how labels are read.
      uns: unstructured annotation, which may say what ids stand for.

    Raises:
      DataError: no cell is a control, labels are missing, or a label has no name.
    """
    distinct, code = labels.group_by_label(text)
    lookup = GeneLookup(var, config.gene_name_key)
    table = cellxgene_names(uns or {}, config.control, config.combination_separator or "+")
    if config.label_table:
        table |= read_label_table(config.label_table, config.combination_separator)
    meaning = {
        str(label): once(translated(str(label), table, config.combination_separator).strip())
        for label in distinct
    }
    genes = lookup.own | set(lookup.aliases)
    controls = find_controls(set(meaning.values()), genes, config)
    if not controls.labels:
        raise DataError(control_advice(obs, config, meaning.values()))
    size = np.bincount(code, minlength=len(distinct))
    lost = _without_label(distinct, size, meaning, controls.labels, genes, config)

    reader = LabelReader(lookup, controls.labels, config)
    kept = [meaning[str(label)] for label, gone in zip(distinct, lost, strict=True) if not gone]
    reader.choose_separator(kept)
    beside = gene_names.names_beside(obs, distinct, code)
    read: dict[str, list[Name]] = {}
    for label, gone in zip(map(str, distinct), lost, strict=True):
        if gone:
            read[label] = [Name(UNKNOWN)] if config.unlabelled == "keep" else []
            continue
        others = [names[label] for names in beside if label in names]
        read[label] = reader.read(meaning[label], others)
    reader.keep_apart(name for names in read.values() for name in names)
    genes_of = [tuple(sorted({name.gene for name in read[str(label)]})) for label in distinct]
    groups = sorted(set(genes_of))
    number = {key: i for i, key in enumerate(groups)}
    names_of: dict[str, set[str]] = {}
    for name in (name for names in read.values() for name in names):
        names_of.setdefault(name.gene, {name.gene}).update(name.every)
    for other, gene in lookup.aliases.items():
        if gene in names_of:
            names_of[gene].add(other)
    labelled = ~lost if config.unlabelled != "keep" else np.ones_like(lost)
    by_label = {label: names for label, names in read.items() if names}
    guides = len(controls.labels) > 1 or any(
        name.how == "guide" for names in by_label.values() for name in names
    )
    notes = (reader.said, controls.said, *_said(by_label, reader.apart))
    return Perturbations(
        np.array([number[key] for key in genes_of])[code],
        groups,
        names_of,
        controls.name,
        labelled[code],
        guides,
        frozenset(name.text for names in by_label.values() for name in names),
        frozenset(name for kept in reader.apart.values() for name in kept),
        tuple(note for note in notes if note),
    )


def joined_by(genes: list[tuple[str, ...]]) -> str:
    """Return the separator of the prepared labels: "+", or none if gene names contain it.

    Raises DataError if there are combinations and gene names contain it.
    """
    odd = sorted({gene for group in genes for gene in group if "+" in gene})
    if not odd:
        return "+"
    if any(len(group) > 1 for group in genes):
        raise DataError(
            f"a perturbed gene has '+' in its name, which joins names: {odd[0]!r}; rename it"
        )
    return ""


def _without_label(
    distinct: np.ndarray,
    size: np.ndarray,
    meaning: Mapping[str, str],
    controls: frozenset[str],
    genes: set[str],
    config: PrepareConfig,
) -> np.ndarray:
    """Return which labels are none, [number of labels]; raise DataError where that is refused."""
    empty = np.array([not str(label).strip() for label in distinct], bool)
    said = [meaning[str(label)] for label in distinct]
    words = np.array([one not in controls and says_nothing(one, genes) for one in said], bool)
    if empty.any() and config.unlabelled == "refuse":
        raise DataError(
            f"obs[{config.perturbation_key!r}] is missing in {int(size[empty].sum())} cells; "
            "config.prepare.unlabelled=drop leaves them out, config.prepare.unlabelled=keep keeps "
            f"them as the perturbation {UNKNOWN!r}"
        )
    return words


def _said(read: Mapping[str, Sequence[Name]], apart: Mapping[str, set[str]]) -> list[str]:
    """Return notes on labels that were not taken literally."""
    by_how: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for names in read.values():
        for name in names:
            if name.gene not in apart and name.text != name.gene:
                by_how[name.how][name.gene].add(name.text)
    said = []
    guides = by_how["guide"]
    if guides:
        n = sum(map(len, guides.values()))
        said.append(
            f"{n} labels are guides of {len(guides)} genes: {_examples(guides)}; "
            "config.prepare.guide_labels=whole takes labels as they are"
        )
    merged = {gene: texts for gene, texts in by_how["column"].items() if len(texts) > 1}
    if merged:
        said.append(f"labels with one gene beside them are one perturbation: {_examples(merged)}")
    for how, what in (("case", "in another case"), ("version", "of another Ensembl version")):
        if by_how[how]:
            said.append(
                f"{len(by_how[how])} genes are found under a name {what}: {_examples(by_how[how])}"
            )
    if apart:
        names = [f"{gene} ({listed(kept)})" for gene, kept in sorted(apart.items())]
        said.append(
            f"labels say that different things were done to {listed(names, _EXAMPLES)}: these are "
            "perturbations of their own, and not tied to the measured gene; "
            "config.prepare.same_gene=merge makes them one"
        )
    return said


def _examples(found: Mapping[str, set[str]]) -> str:
    names = [f"{gene} ({listed(texts, 4)})" for gene, texts in sorted(found.items())]
    more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    return ", ".join(names[:_EXAMPLES]) + more
