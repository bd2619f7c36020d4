"""The names in one label, under the conventions of a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import labels
from gpo_vae_jax.data.prepare.raw import guide_labels, separators
from gpo_vae_jax.data.prepare.raw.control_labels import family_of, is_named
from gpo_vae_jax.data.prepare.raw.gene_lookup import GeneLookup
from gpo_vae_jax.errors import DataError

_DEFAULT_SEPARATOR = PrepareConfig.combination_separator


class Name:
    """A name in a label: the gene that is meant, and how it was found."""

    def __init__(self, gene: str, how: str = "", text: str = "", others: Iterable[str] = ()):
        self.gene, self.how, self.text = gene, how, text or gene
        self.every = {self.text, *others}
        self.variant = guide_labels.variant_of(self.text) if how in ("guide", "column") else ""


class LabelReader:
    """Reads labels with one set of conventions."""

    def __init__(self, lookup: GeneLookup, controls: frozenset[str], config: PrepareConfig):
        self._lookup, self._controls, self._config = lookup, controls, config
        self._separator = config.combination_separator
        self._names = lookup.own | set(lookup.aliases)
        self._genes: dict[str, tuple[str, str]] = {}  # text -> its gene, and how it was found
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
        self._whole = self._names | single | self._controls
        self._longest = labels.most_separators(self._separator, self._whole)

    def read(self, label: str, others: Sequence[str]) -> list[Name]:
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
                    return [Name(gene, "column", label, others)]
        named = [piece for piece in pieces if not self._is_control(piece)]
        alone = others if len(pieces) == 1 else ()
        return [self._single(piece) or Name(piece, others=alone) for piece in named]

    def keep_apart(self, names: Iterable[Name]) -> None:
        """Rename genes of which labels say that different things were done to them."""
        by_gene: dict[str, list[Name]] = defaultdict(list)
        for name in names:
            by_gene[name.gene].append(name)
        for gene, same in by_gene.items():
            done = {name.variant for name in same}
            if len(done) > 1 and self._config.same_gene == "apart":
                for name in same:
                    name.gene = f"{gene}_{name.variant}" if name.variant else gene
                self.apart[gene] = {name.gene for name in same}

    def _single(self, text: str) -> Name | None:
        """Read a text that names one gene, under any name or by one of its guides."""
        if text not in self._genes:
            self._genes[text] = self._find(text)
        gene, how = self._genes[text]
        return Name(gene, how, text) if gene else None

    def _find(self, text: str) -> tuple[str, str]:
        gene, how = self._lookup.find(text)
        if not gene and self._config.guide_labels == "gene":
            gene = guide_labels.gene_of_guide(
                text, lambda name: self._lookup.find(name)[0], self._lookup.longest
            )
            how = "guide"
        return gene, how

    def _known(self, text: str) -> str:
        """Return the gene of a text, or the text itself if it is a control; "" otherwise."""
        name = self._single(text.strip())
        if name:
            return name.gene
        return text.strip() if self._is_control(text.strip()) else ""

    def _is_control(self, piece: str) -> bool:
        """Return whether a part of a label is a control."""
        family = self._config.join_controls and family_of(piece, self._names)
        return piece in self._controls or is_named(piece, self._config) or bool(family)
