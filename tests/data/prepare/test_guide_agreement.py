"""Guides of a gene: which works, does nothing or disagrees, and how often that is said rightly."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.data.prepare import guide_agreement as agreement
from gpo_vae_jax.data.prepare.guide_agreement import Effect, compare_guides, verdict_of
from tests.data.prepare.simulated_guides import guide_screen

COLUMNS = [
    *("gene", "guide", "cells", "log2_fold_change", "standard_error", "p_value"),
    *("genes_changed", "agreement", "share", "others_work", "verdict"),
]


def rates(cells, seeds=2, **screen):
    """Return the share of each verdict among good, dead and off-target guides."""
    found = {}
    for seed in range(seeds):
        for row in compare_guides(*guide_screen(seed, cells, **screen)):
            kind = row["guide"].split("_")[1][:-1]
            found.setdefault(kind, Counter())[row["verdict"]] += 1
    return {
        kind: {verdict: n / seen.total() for verdict, n in seen.items()}
        for kind, seen in found.items()
    }


@pytest.mark.parametrize("cells", [30, 100])
def test_a_dead_guide_is_found_and_good_ones_are_not_blamed(cells):
    found = rates(cells)
    assert found["dead"].get("no effect", 0) >= 0.9
    assert found["dead"].get("works", 0) <= 0.07
    assert found["good"].get("works", 0) >= 0.9
    assert found["good"].get("no effect", 0) + found["good"].get("disagrees", 0) <= 0.07


def test_a_guide_that_does_something_else_disagrees():
    found = rates(100, kinds=("good", "good", "off"))
    assert found["off"].get("disagrees", 0) >= 0.9
    assert found["good"].get("works", 0) >= 0.9


def test_a_gene_without_effect_is_seldom_said_to_have_one():
    found = rates(60, seeds=3, kinds=("dead", "dead", "dead"))["dead"]
    assert found.get("works", 0) + found.get("disagrees", 0) <= 0.08
    assert found["no effect"] > 0.2  # else the target's counts are too low


def test_where_only_the_target_changes_the_target_decides():
    found = rates(100, downstream=0)
    assert found["good"].get("works", 0) > 0.6
    assert found["good"].get("no effect", 0) + found["good"].get("disagrees", 0) <= 0.07
    assert found["dead"].get("no effect", 0) > 0.5
    assert found["dead"].get("works", 0) <= 0.07


def test_few_controls_make_no_agreement():
    """Both guides are compared with the same 30 control cells, whose noise they would share."""
    rows = compare_guides(*guide_screen(0, 60, kinds=("dead",) * 2, n_controls=30, n_targets=20))
    agreements = np.array([row["agreement"] for row in rows])
    assert abs(agreements.mean()) < 0.1
    assert sum(row["verdict"] in ("works", "disagrees") for row in rows) <= 4


def test_a_row_says_what_was_seen():
    counts, genes, guide, target, is_control = guide_screen(1, 80, n_targets=3)
    rows = compare_guides(counts, genes, guide, target, is_control)
    assert [list(row) for row in rows] == [COLUMNS] * 9
    assert [(row["gene"], row["guide"]) for row in rows] == sorted(
        {(t, g) for t, g in zip(target, guide, strict=True) if g}
    )
    row = max(rows, key=lambda row: -row["p_value"])
    assert row["cells"] == 80
    dense = counts.toarray().astype(float)
    own, rest = dense[guide == row["guide"]].sum(axis=0), dense[is_control].sum(axis=0)
    at = genes.index(row["gene"])
    expected = np.log2((own[at] + 0.5) / (rest[at] + 0.5) * rest.sum() / own.sum())
    assert row["log2_fold_change"] == pytest.approx(expected)
    assert row["standard_error"] >= np.sqrt(1 / (own[at] + 0.5)) / np.log(2)
    assert row["others_work"] == 1  # of two others one is dead
    assert 0.2 < row["agreement"] <= 1


def test_a_gene_with_one_guide_is_judged_without_others():
    rows = compare_guides(*guide_screen(0, 100, kinds=("good",)))
    assert np.isnan([(row["agreement"], row["share"]) for row in rows]).all()
    assert {row["others_work"] for row in rows} == {0}
    assert sum(row["verdict"] == "works" for row in rows) >= 7


def test_an_unmeasured_target_leaves_the_other_genes_to_judge():
    counts, genes, guide, target, is_control = guide_screen(0, 100)
    away = set(target)
    genes = [f"not {gene}" if gene in away else gene for gene in genes]
    rows = compare_guides(counts, genes, guide, target, is_control)
    assert np.isnan([row["log2_fold_change"] for row in rows]).all()
    assert np.isnan([row["standard_error"] for row in rows]).all()
    verdicts = {row["guide"]: row["verdict"] for row in rows}
    right = [("no effect" if "dead" in g else "works") == v for g, v in verdicts.items()]
    assert np.mean(right) > 0.9


def test_few_cells_and_few_controls_are_not_judged():
    counts, genes, guide, target, is_control = guide_screen(0, 30, n_targets=2)
    few = np.flatnonzero(guide == guide[-1])[9:]
    guide = guide.copy()
    name = guide[-1]
    guide[few] = ""
    rows = {r["guide"]: r for r in compare_guides(counts, genes, guide, target, is_control)}
    assert (rows[name]["cells"], rows[name]["verdict"]) == (9, "too few cells")
    controls = is_control & (np.cumsum(is_control) <= 9)
    rows = compare_guides(counts, genes, guide, target, controls)
    assert {row["verdict"] for row in rows} == {"too few cells"}
    for nobody in (np.zeros_like(is_control), is_control):
        told = np.where(nobody, "", guide)
        rows = compare_guides(counts, genes, told, target, nobody)
        assert len(rows) == 6


def test_cells_without_guide_or_gene_are_left_out():
    counts, genes, guide, target, is_control = guide_screen(0, 30, n_targets=2)
    assert compare_guides(counts, genes, np.full(len(guide), ""), target, is_control) == []
    combinations = np.where(target == target[-1], "", target)
    rows = compare_guides(counts, genes, guide, combinations, is_control)
    assert {row["gene"] for row in rows} == set(target) - {"", target[-1]}


def test_form_of_the_counts_and_chunks_do_not_matter(monkeypatch):
    counts, *rest = guide_screen(0, 30, n_targets=4)
    expected = pd.DataFrame(compare_guides(counts, *rest))
    narrow = counts.astype(np.min_scalar_type(counts.max()))
    for form in (counts.toarray(), narrow, counts.tocsc(), counts.astype(np.float32)):
        pd.testing.assert_frame_equal(pd.DataFrame(compare_guides(form, *rest)), expected)
    monkeypatch.setattr(agreement, "_CHUNK_VALUES", 1)
    pd.testing.assert_frame_equal(pd.DataFrame(compare_guides(counts, *rest)), expected)


def test_cells_without_counts_are_no_trouble():
    counts, genes, guide, target, is_control = guide_screen(0, 20, n_targets=2)
    empty = counts.toarray()
    empty[guide == guide[-1]] = 0
    rows = {r["guide"]: r for r in compare_guides(empty, genes, guide, target, is_control)}
    assert rows[guide[-1]]["verdict"] == "unclear"
    nothing = compare_guides(np.zeros_like(empty), genes, guide, target, is_control)
    assert {row["verdict"] for row in nothing} == {"unclear"}


NAN = float("nan")


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [
        (Effect(-2.0, 0.1, 1e-9, 3, 0.9, 0.1, 0.8), "works"),
        (Effect(0.0, 0.1, 0.9, 0, 0.0, 0.1, 0.0), "no effect"),
        (Effect(0.0, 0.1, 0.9, 0, 0.2, 0.1, 0.0), "no effect"),
        (Effect(0.0, 0.1, 0.9, 4, 0.0, 0.1, 0.0), "disagrees"),
        (Effect(0.0, 0.1, 0.9, 1, 0.0, 0.1, 0.0), "no effect"),  # one gene may be chance
        (Effect(0.0, 0.1, 0.9, 0, -0.04, 0.01, 0.0), "no effect"),
        (Effect(2.0, 0.1, 1e-9, 0, -0.9, 0.1, -0.8), "disagrees"),
        (Effect(0.0, 0.1, 0.9, 0, 0.35, 0.2, 0.2), "no effect"),
        (Effect(0.0, 0.5, 0.9, 0, 0.35, 0.2, 0.2), "unclear"),
        (Effect(0.0, 0.1, 0.9, 0, 0.6, 0.3, 0.2), "unclear"),  # half of the effect may be there
        (Effect(-2.0, 0.1, 1e-9, 0, 0.0, 0.5, 0.0), "works"),  # the others show too little
        (Effect(0.0, 0.1, 0.9, 2, NAN, NAN, 0.0), "works"),
        (Effect(0.0, 0.1, 0.9, 0, NAN, NAN, 0.0), "no effect"),
        (Effect(0.0, 0.5, 0.9, 0, NAN, NAN, 0.0), "unclear"),
        (Effect(NAN, NAN, NAN, 0, NAN, NAN, NAN), "unclear"),
    ],
)
def test_the_rules(effect, verdict):
    assert verdict_of(effect, 50, 50) == verdict
    assert verdict_of(effect, 9, 50) == verdict_of(effect, 50, 9) == "too few cells"
