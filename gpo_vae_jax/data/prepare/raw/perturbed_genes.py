"""The perturbed genes of each cell, by their var names, as its label names them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import gene_names, labels
from gpo_vae_jax.errors import DataError


class Perturbations(NamedTuple):
    """The perturbation of each of N cells."""

    code: np.ndarray  # [N] index into `genes`
    genes: list[tuple[str, ...]]  # the genes of each perturbation, sorted; () is the control
    names: dict[str, set[str]]  # every name of each perturbed gene, its own included

    @property
    def is_control(self) -> np.ndarray:
        """Return which cells are controls, [N]."""
        return np.array([not genes for genes in self.genes])[self.code]

    def counted(self, rows: np.ndarray) -> int:
        """Return the number of perturbations among some cells, without the control."""
        return sum(bool(self.genes[code]) for code in np.unique(self.code[rows]))


def read_perturbations(
    text: np.ndarray, obs: pd.DataFrame, var: pd.DataFrame, config: PrepareConfig
) -> Perturbations:
    """Parse the labels of the cells.

    Labels are split where names are joined (labels.cut_label). A name that is another name of a
    var name (gene_names) is replaced by it; an unknown name stays. Two labels of the same genes are
    one perturbation.

    Args:
      text: [N] labels.
      obs: N rows, which may have other names of the perturbed genes.
      var: G rows, which may have other names of the genes.
      config: control label, separator, and column of other names.

    Raises:
      DataError: a label has no name.
    """
    control, separator = config.control, config.combination_separator
    distinct, code = labels.group_by_label(text)
    aliases = gene_names.gene_aliases(var, config.gene_name_key)
    beside = gene_names.names_beside(obs, distinct, code)
    own = {str(name) for name in var.index}
    single = {label for label in distinct if not separator or separator not in label}
    known = own | set(aliases) | single | {control}
    names_of: dict[str, set[str]] = {}

    def resolve(name: str) -> str:
        every = [name, *(table[name] for table in beside if name in table)]
        found = (other if other in own else aliases.get(other) for other in every)
        gene = next((other for other in found if other is not None), name)
        names_of.setdefault(gene, {gene}).update(every)
        return gene

    genes_of = []
    for label in distinct:
        names = [label] if label == control else labels.cut_label(label, separator, known)
        if not names:
            raise DataError(
                f"obs[{config.perturbation_key!r}] has the label {str(label)!r}, which names no "
                "gene; rename it or remove its cells"
            )
        genes_of.append(tuple(sorted({resolve(str(n)) for n in names if n != control})))
    genes = sorted(set(genes_of))
    number = {key: i for i, key in enumerate(genes)}
    for other, gene in aliases.items():
        if gene in names_of:
            names_of[gene].add(other)
    return Perturbations(np.array([number[key] for key in genes_of])[code], genes, names_of)


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
