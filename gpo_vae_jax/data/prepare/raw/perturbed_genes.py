"""The perturbed genes of each cell, by their var names, as its label names them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import gene_names, labels
from gpo_vae_jax.data.prepare.raw import guide_labels, separators
from gpo_vae_jax.data.prepare.raw.control_labels import family_of, find_controls, is_named
from gpo_vae_jax.data.prepare.raw.conventions import control_advice
from gpo_vae_jax.data.prepare.raw.gene_lookup import GeneLookup
from gpo_vae_jax.data.prepare.raw.label_table import (
    cellxgene_names,
    read_label_table,
    translated,
)
from gpo_vae_jax.data.prepare.raw.unlabelled import UNKNOWN, says_nothing
from gpo_vae_jax.errors import DataError, listed

_EXAMPLES = 3
_DEFAULT_SEPARATOR = PrepareConfig.combination_separator


class Perturbations(NamedTuple):
    """The perturbation of each of N cells."""

    code: np.ndarray  # [N] index into `genes`
    genes: list[tuple[str, ...]]  # the genes of each perturbation, sorted; () is the control
    names: dict[str, set[str]]  # every name of each perturbed gene, its own included
    control: str  # the label of control cells in the prepared file
    labelled: np.ndarray  # [N] bool: the others have no known perturbation, and are left out
    guides: bool  # whether labels tell guides of one gene, or of the control, apart
    spelled: frozenset[str]  # names as labels spell them
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
        str(label): translated(str(label), table, config.combination_separator).strip()
        for label in distinct
    }
    genes = lookup.own | set(lookup.aliases)
    controls = find_controls(set(meaning.values()), genes, config)
    if not controls.labels:
        raise DataError(control_advice(obs, config, meaning.values()))
    size = np.bincount(code, minlength=len(distinct))
    lost = _without_label(distinct, size, meaning, controls.labels, genes, config)

    reader = _Reader(lookup, controls.labels, config)
    kept = [meaning[str(label)] for label, gone in zip(distinct, lost, strict=True) if not gone]
    reader.choose_separator(kept)
    beside = gene_names.names_beside(obs, distinct, code)
    read: dict[str, list[_Name]] = {}
    for label, gone in zip(map(str, distinct), lost, strict=True):
        if gone:
            read[label] = [_Name(UNKNOWN)] if config.unlabelled == "keep" else []
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
    return Perturbations(
        np.array([number[key] for key in genes_of])[code],
        groups,
        names_of,
        controls.name,
        labelled[code],
        guides,
        frozenset(name.text for names in by_label.values() for name in names),
        tuple(filter(None, [reader.said, controls.said, *_said(by_label, reader.apart)])),
    )


class _Name:
    """A name in a label: the gene that is meant, and how it was found."""

    def __init__(self, gene: str, how: str = "", text: str = "", others: Iterable[str] = ()):
        self.gene, self.how, self.text = gene, how, text or gene
        self.every = {self.text, *others}
        self.variant = guide_labels.variant_of(self.text) if how in ("guide", "column") else ""


class _Reader:
    """Reads labels with one set of conventions."""

    def __init__(self, lookup: GeneLookup, controls: frozenset[str], config: PrepareConfig):
        self._lookup, self._controls, self._config = lookup, controls, config
        self._separator = config.combination_separator
        self.said = ""
        self.apart: dict[str, set[str]] = {}  # gene -> what was done to it

    def choose_separator(self, distinct: Sequence[str]) -> None:
        """Find what joins names if it is not set and no label has the default."""
        labels_of_genes = [
            label for label in distinct if label not in self._controls and not self._single(label)
        ]
        if self._separator == _DEFAULT_SEPARATOR and not any("+" in one for one in labels_of_genes):
            found, having = separators.find_separator(labels_of_genes, self._known)
            if found:
                self._separator = found
                self.said = (
                    f"combinations are joined by {found!r} ({len(having)} labels, such as "
                    f"{having[0]!r}); config.prepare.combination_separator names another"
                )
        single = {one for one in distinct if not self._separator or self._separator not in one}
        self._whole = self._lookup.own | set(self._lookup.aliases) | single | self._controls
        self._longest = labels.most_separators(self._separator, self._whole)

    def read(self, label: str, others: Sequence[str]) -> list[_Name]:
        """Return the names in a label, without controls; `others` are names of its gene beside."""
        if label in self._controls:
            return []
        name = self._single(label)
        if name:
            return [name]
        pieces = labels.cut_label(label, self._separator, self._whole, self._longest)
        if not pieces:
            raise DataError(
                f"obs[{self._config.perturbation_key!r}] has the label {label!r}, which names no "
                "gene; rename it or remove its cells"
            )
        if len(pieces) == 1 and not separators.names_several(label, self._known):
            for other in others:
                gene, _ = self._lookup.find(other)
                if gene:
                    return [_Name(gene, "column", label, others)]
        named = [piece for piece in pieces if not self._is_control(piece)]
        alone = others if len(pieces) == 1 else ()
        return [self._single(piece) or _Name(piece, others=alone) for piece in named]

    def keep_apart(self, names: Iterable[_Name]) -> None:
        """Rename genes of which labels say that different things were done to them."""
        by_gene: dict[str, list[_Name]] = defaultdict(list)
        for name in names:
            by_gene[name.gene].append(name)
        for gene, same in by_gene.items():
            done = {name.variant for name in same}
            if len(done) > 1 and self._config.same_gene == "apart":
                for name in same:
                    name.gene = f"{gene}_{name.variant}" if name.variant else gene
                self.apart[gene] = {name.gene for name in same}

    def _single(self, text: str) -> _Name | None:
        """Read a text that names one gene, under any name or by one of its guides."""
        gene, how = self._lookup.find(text)
        if gene:
            return _Name(gene, how, text)
        half = text[: len(text) // 2 - 1]
        if half and text == f"{half}__{half}":  # as in Norman 2019
            return self._single(half)
        if self._config.guide_labels == "gene":
            gene = guide_labels.gene_of_guide(text, lambda name: self._lookup.find(name)[0])
            if gene:
                return _Name(gene, "guide", text)
        return None

    def _known(self, text: str) -> str:
        """Return the gene of a text, or the text itself if it is a control; "" otherwise."""
        name = self._single(text.strip())
        if name:
            return name.gene
        return text.strip() if self._is_control(text.strip()) else ""

    def _is_control(self, piece: str) -> bool:
        """Return whether a part of a label is a control."""
        family = self._config.join_controls and family_of(piece, self._lookup)
        return piece in self._controls or is_named(piece, self._config) or bool(family)


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


def _said(read: Mapping[str, Sequence[_Name]], apart: Mapping[str, set[str]]) -> list[str]:
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
