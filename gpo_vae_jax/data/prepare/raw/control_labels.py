"""Labels of control cells: those that are named, by pattern too, and the families in use."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.errors import listed

JOINED = "control"  # the name of control cells whose labels have no name in common
_NUMBER = r"(?:[-_. |:#\d]|sgrna|grna|guide|sg|g|ctrl|control|human|mouse)*$"
_FAMILIES = {  # a label of one of these is a control wherever it is no gene
    "non-targeting": rf"^(?:sg|g)?[-_]?non?[-_. ]?(?:specific[-_. ]?)?target(?:ing|ed)?s?{_NUMBER}",
    "NT": rf"^(?:sg|g)?[-_]?nt(?:c|g|ctrl|control)?{_NUMBER}",
    "safe-targeting": r"^(?:sg)?[-_]?safe(?:[-_. ]?(?:target(?:ing)?|harbou?r|cutting|site))?"
    + _NUMBER,
    "intergenic": rf"^(?:one[-_. ]?)?(?:intergenic|non[-_. ]?gene(?:ic)?)(?:[-_. ]?site)?{_NUMBER}",
    "no site": rf"^no[-_. ]?sites?{_NUMBER}",
    "negative control": rf"^(?:sg)?[-_]?neg(?:ative)?[-_. ]?(?:ctrl|control|ctl)s?{_NUMBER}",
    "control": rf"^(?:sg)?[-_]?(?:non?[-_. ]?)?(?:ctrl|control|ctl|cntrl)s?{_NUMBER}",
    "scrambled": rf"^(?:sg|sh|si)?[-_]?scr(?:ambled?)?{_NUMBER}",
    "unperturbed": r"^(?:un|non[-_. ]?|no[-_. ]?)(?:perturbed|perturbation|modified|targeted)s?$",
}
_BEGINNING = re.compile(  # of a label of any family, to tell most others quickly
    r"^(?:sg|sh|si|g|one)?[-_. ]?(?:no|nt|safe|intergenic|neg|ct|cn|con|scr|un)", re.IGNORECASE
)
_PREFIX = re.compile(r"^[pcm]_(?=\w)")  # as in Dixit 2016
_MOST_PARTS = 8  # of a label that consists of controls alone
_FIELDS = re.compile(r"^non?[-_. ]?target(?:ing|ed)?\|", re.IGNORECASE)  # non-targeting|x|y
_SUGGESTED = re.compile(  # often a control, but not always
    r"non.?target|ctrl|control|scramble|safe|unperturbed|intergenic|^neg|^(?:sg)?ntc?\b|^wt$|^none$"
    r"|^(?:sg)?(?:dmso|mock|vehicle|e?gfp|rfp|mcherry|lacz|aavs1|rosa26|luc(?:iferase)?"
    r"|wild.?type|parental|untreated|uninfected|empty.?vector|na)(?:[-_. ]?\d+)?$",
    re.IGNORECASE,
)
_JOINTS = re.compile(r"[+|,;&/_]+")


class Controls(NamedTuple):
    """Which labels are controls."""

    labels: frozenset[str]
    name: str  # of control cells in the prepared file
    said: str  # on labels that nobody named ("": none)


def find_controls(
    distinct: Collection[str], genes: Collection[str], config: PrepareConfig
) -> Controls:
    """Return the labels of control cells; `labels` is empty if none of them is named.

    Labels are compared without blanks around them. Those that belong to a family in use (NT-2,
    safe-targeting, INTERGENIC216151) join the named ones, unless they are genes or
    `config.join_controls` is off.

    Args:
      distinct: the labels.
      genes: names of measured genes, which are never taken for controls unless they are named.
      config: the control's label or pattern, and further ones.
    """
    separator = config.combination_separator
    named = {
        label for label in distinct
        if is_named(label, config)
        or (separator and all(is_named(part, config) for part in label.split(separator)))
    }  # fmt: skip
    name = JOINED if is_pattern(config.control) else config.control
    if is_pattern(config.control) and len({label.strip() for label in named}) == 1:
        name = next(iter(named)).strip()
    if not named:
        return Controls(frozenset(), name, "")
    joined = {}
    if config.join_controls:
        stems = {_stem(label) for label in named if _SUGGESTED.search(label.strip())}
        for label in set(distinct) - named:
            family = family_of(label, genes)
            if not family and _stem(label) in stems and label.strip() not in genes:
                family = _stem(label)
            if family:
                joined[label] = family
    said = ""
    if joined:
        said = (
            f"{describe(joined)} are controls too (their labels say so); "
            "config.prepare.join_controls=false leaves them out"
        )
    return Controls(frozenset(named | set(joined)), name, said)


def is_named(label: str, config: PrepareConfig) -> bool:
    """Return whether a label, or part of one, is named as a control by the settings."""
    return any(matches(label, one) for one in (config.control, *config.more_controls))


def family_of(label: str, genes: Collection[str] = ()) -> str:
    """Return the family of controls that a label belongs to, or "" if it is no control or a gene.

    A label of several parts is a control if each of them is.
    """
    label = _PREFIX.sub("", label.strip())
    if not label or label in genes:
        return ""
    if _BEGINNING.match(label):
        for family, pattern in _FAMILIES.items():
            if re.match(pattern, label, re.IGNORECASE):
                return family
    parts = [part.strip() for part in _JOINTS.split(label, _MOST_PARTS + 1) if part.strip()]
    if not 2 <= len(parts) <= _MOST_PARTS or any(part in genes for part in parts):
        return ""
    if _FIELDS.match(label):
        return "non-targeting"
    first = ""
    for part in parts:
        family = "" if part.isdigit() else family_of(part, genes)
        if not family and not part.isdigit():
            return ""
        first = first or family
    return first


def alike(labels: Iterable[str]) -> list[str]:
    """Return the labels that look like a control, sorted."""
    return sorted({
        label for label in map(str, labels)
        if _SUGGESTED.search(label.strip()) or family_of(label)
    })  # fmt: skip


def is_pattern(control: str) -> bool:
    """Return whether a setting names labels by a pattern, such as "NT-*"."""
    return "*" in control or "?" in control


def matches(label: str, wanted: str) -> bool:
    """Return whether a label is the wanted one, or fits it as a pattern."""
    label, wanted = once(label.strip()), once(wanted.strip())
    return label == wanted or (is_pattern(wanted) and fnmatch.fnmatchcase(label, wanted))


def once(label: str) -> str:
    """Return half of a label that says everything twice (A_B__A_B, as in Norman 2019)."""
    if "__" not in label:
        return label
    half = label[: len(label) // 2 - 1]
    return half if half and label == f"{half}__{half}" else label


def describe(families: Mapping[str, str]) -> str:
    """Describe labels by family: "NT (3 labels: NT-2, NT-3, NT-4)"."""
    by_family: dict[str, list[str]] = {}
    for label, family in families.items():
        by_family.setdefault(family, []).append(label)
    return ", ".join(
        f"{family} ({len(labels)} labels: {listed(labels, 4)})"
        if len(labels) > 1
        else f"{labels[0]!r}"
        for family, labels in sorted(by_family.items())
    )


def _stem(label: str) -> str:
    return re.sub(r"\d+", "#", label.strip())
