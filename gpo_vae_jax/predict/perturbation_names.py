"""From words such as A, A+B to the perturbations that a model can be asked for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gpo_vae_jax.data.gene_names import meant_gene
from gpo_vae_jax.data.labels import cut_label
from gpo_vae_jax.errors import DataError, listed
from gpo_vae_jax.types import Dataset

ALL = "all"  # in place of names: every perturbation of the data
CONTROL = "control"
OBSERVED = "observed"
HELD_OUT = "observed, but not in training cells"
ONLY_COMBINED = "observed in combinations only"
COMBINATION = "combination of observed"
UNSEEN = "unseen gene"
PARTLY_UNSEEN = "combination with an unseen gene"


class Perturbation(NamedTuple):
    """Hold one perturbation: how the data would label it, its genes, and what is known of it."""

    label: str
    genes: tuple[str, ...]  # sorted; none for the control
    kind: str


def read_perturbations(
    words: Sequence[str], dataset: Dataset, *, masked: Sequence[str] = ()
) -> list[Perturbation]:
    """Read words, in their order; each perturbation comes once.

    A word is the name of a treatment, another name of its gene, or several joined by "+" (or by
    what joins names in the data), or "all": every perturbation that the data has, in the order of
    their labels. `masked` are treatments that training did not see (mask_test).

    Raises:
      DataError: a name is unknown, or a gene is named twice in one word.
    """
    hidden = {dataset.treatments[t] for t in dataset.sizes.unseen} | set(masked)
    found = {}
    for word in _without_all([word.strip() for word in words], dataset):
        one = _read(word, dataset, hidden)
        found.setdefault(one.label, one)
    return list(found.values())


def perturbation_label(genes: Sequence[str], dataset: Dataset) -> str:
    """Return the label of a set of genes, sorted and joined; none are the control."""
    return (dataset.conventions.separator or "+").join(genes) or dataset.conventions.control


def control_of(dataset: Dataset) -> Perturbation:
    """Return the control."""
    return Perturbation(dataset.conventions.control, (), CONTROL)


def _without_all(words: Sequence[str], dataset: Dataset) -> list[str]:
    """Put the perturbations of the data in the place of "all", unless a gene is called so."""
    if ALL not in words or ALL in {*dataset.treatments, *dataset.conventions.aliases}:
        return list(words)
    present = {str(label) for labels in dataset.labels.values() for label in np.unique(labels)}
    genes = {tuple(dataset.label_genes[label]) for label in present} - {()}
    every = sorted(perturbation_label(one, dataset) for one in genes)
    return [name for word in words for name in (every if word == ALL else [word])]


def _read(word: str, dataset: Dataset, hidden: set[str]) -> Perturbation:
    conventions, treatments = dataset.conventions, dataset.treatments
    known = {*treatments, *conventions.aliases, *dataset.genes, conventions.control}
    names = [word]
    if word not in known:
        ways = [cut_label(word, joint, known) for joint in ("+", conventions.separator) if joint]
        names = list(max(ways, key=lambda way: sum(name in known for name in way)))
    names = [name for name in names if name != conventions.control]
    if not names and word != conventions.control:
        raise DataError("a perturbation without a name was asked for")
    genes = [_treatment(name, dataset) for name in names]
    twice = sorted({gene for gene in genes if genes.count(gene) > 1})
    if twice:
        raise DataError(
            f"{word!r} names {twice[0]!r} twice; a gene is perturbed or it is not: ask for "
            f"{'+'.join(sorted(set(genes)))}"
        )
    genes = tuple(sorted(genes))
    label = perturbation_label(genes, dataset)
    return Perturbation(label, genes, _kind(label, genes, dataset, hidden))


def _treatment(name: str, dataset: Dataset) -> str:
    if name in dataset.treatments:
        return name
    gene = dataset.conventions.aliases.get(name)
    if gene in dataset.treatments:
        return gene
    treatments = dataset.treatments
    if name in dataset.genes or gene in dataset.genes:
        raise DataError(
            f"{name!r} is measured, but it is none of the {len(treatments)} treatments that the "
            f"model knows: {listed(treatments)}"
        )
    aliases = [other for other, to in dataset.conventions.aliases.items() if to in treatments]
    control = dataset.conventions.control
    raise DataError(
        f"{name!r} is no treatment of this model; {_meant(name, [*treatments, *aliases, control])} "
        f"(the control is {control!r})"
    )


def _meant(name: str, known: Sequence[str]) -> str:
    """Return the end of a message: what was meant, or else the nearest names before all others."""
    said = meant_gene(name, known)
    as_written = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), list(as_written), n=3)
    if said.startswith("did you mean") or not near:
        return said
    return f"the nearest: {', '.join(as_written[one] for one in near)}; {said}"


def _kind(label: str, genes: tuple[str, ...], dataset: Dataset, hidden: set[str]) -> str:
    if not genes:
        return CONTROL
    unseen = [gene for gene in genes if gene in hidden]
    if unseen:
        return PARTLY_UNSEEN if len(genes) > 1 else UNSEEN
    if np.any(np.asarray(dataset.labels["train"]) == label):
        return OBSERVED
    if any(np.any(np.asarray(labels) == label) for labels in dataset.labels.values()):
        return HELD_OUT
    return COMBINATION if len(genes) > 1 else ONLY_COMBINED
