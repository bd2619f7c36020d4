"""Kinds of control cells: which stand out, and how often alike kinds are said to."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data.prepare import control_kinds
from gpo_vae_jax.data.prepare.control_kinds import compare_controls, genes_that_differ
from gpo_vae_jax.data.prepare.differential import rank_genes

GENES = [f"g{i}" for i in range(400)]


def controls(seed, *, kinds=4, cells=60, odd=(), changed=12, fold=3.0, depth=2000.0):
    """Return counts, genes and kinds; the `odd` kinds change `changed` genes each."""
    rng = np.random.default_rng(seed)
    base = rng.lognormal(0, 1.0, len(GENES))
    base /= base.sum()
    kind = np.repeat([f"NT-{i}" for i in range(kinds)], cells)
    rate = depth * rng.lognormal(0, 0.4, (len(kind), 1)) * base
    for name in odd:
        genes = rng.choice(len(GENES), changed, replace=False)
        rate[np.ix_(kind == name, genes)] *= fold ** rng.choice([-1, 1], changed)
    return rng.poisson(rate * rng.gamma(5, 1 / 5, rate.shape)), GENES, kind


def verdicts(rows):
    return {row["kind"]: row["verdict"] for row in rows}


def test_kinds_without_difference_are_alike():
    for seed in range(5):
        rows = compare_controls(*controls(seed, kinds=8, cells=40))
        assert set(verdicts(rows).values()) == {"alike"}
        assert sum(row["genes_changed"] for row in rows) <= 2


@pytest.mark.parametrize("odd", [("NT-1",), ("NT-0", "NT-2")])
def test_odd_kinds_stand_out_and_the_others_do_not(odd):
    for seed in range(3):
        found = verdicts(compare_controls(*controls(seed, kinds=6, cells=80, odd=odd)))
        assert {kind for kind, verdict in found.items() if verdict == "stands out"} == set(odd)


def test_a_row_says_what_was_seen():
    counts, genes, kind = controls(0, cells=100, odd=("NT-3",), changed=8, fold=6.0)
    keep = np.ones(len(kind), bool)
    keep[:20] = False  # of NT-0
    rows = compare_controls(counts[keep], genes, kind[keep])
    assert [row["kind"] for row in rows] == ["NT-1", "NT-2", "NT-3", "NT-0"]  # the largest first
    assert [row["cells"] for row in rows] == [100, 100, 100, 80]
    own = counts[kind == "NT-3"]
    assert rows[2]["median_umi"] == np.median(own.sum(axis=1))
    assert rows[2]["median_genes"] == np.median((own > 0).sum(axis=1))
    assert 5 <= rows[2]["genes_changed"] <= 9
    assert len(rows[2]["top_genes"].split()) == 5
    assert set(rows[2]["top_genes"].split()) <= set(genes)


def test_one_ranking_gives_the_test_of_each_kind_against_the_others():
    counts, _, kind = controls(0, odd=("NT-0",))
    factor = count_matrix.normalisation(counts.sum(axis=1).astype(float))
    values = sparse.csr_matrix(count_matrix.log_normalised(counts, factor))
    code = np.unique(kind, return_inverse=True)[1]
    found = genes_that_differ(values, code, 4, {0, 1, 3}, np.ones(len(code), bool))
    assert set(found) == {0, 1, 3}
    assert len(found[0]) >= 5
    for k, genes in found.items():
        group, others = np.where(code == k, 0, -1), code != k
        direct = rank_genes(values, group, 1, others)
        change = np.abs(direct.log_fold_changes[0])
        expected = np.flatnonzero((direct.p_adjusted[0] < 0.05) & (change > 0.5))
        assert sorted(genes) == expected.tolist()
        assert (np.diff(change[genes]) <= 1e-6).all()


def test_the_larger_of_two_kinds_is_the_measure():
    counts, genes, kind = controls(0, kinds=3, cells=100, odd=("NT-2",))
    kind = np.where(kind == "NT-1", "NT-0", kind)
    assert verdicts(compare_controls(counts, genes, kind)) == {
        "NT-0": "no others",
        "NT-2": "stands out",
    }


def test_small_kinds_are_counted_but_not_tested():
    counts, genes, kind = controls(0, kinds=3)
    kind[:9], kind[9:60] = "few", "NT-1"
    rows = {row["kind"]: row for row in compare_controls(counts, genes, kind)}
    assert (rows["few"]["cells"], rows["few"]["verdict"]) == (9, "too few cells")
    assert np.isnan(rows["few"]["genes_changed"])
    assert rows["NT-1"]["verdict"] == "alike"


def test_one_kind_or_no_cell_has_nothing_to_compare():
    counts, genes, kind = controls(0, kinds=1)
    assert compare_controls(counts, genes, kind) == []
    assert compare_controls(counts[:0], genes, kind[:0]) == []


def test_cells_without_counts_are_no_trouble():
    counts, genes, kind = controls(0, kinds=2, cells=20)
    rows = compare_controls(np.zeros_like(counts), genes, kind)
    assert set(verdicts(rows).values()) == {"alike"}
    counts[kind == "NT-1"] = 0
    assert len(compare_controls(counts, genes, kind)) == 2


def test_the_50_largest_kinds_are_listed_and_an_even_choice_of_cells_compared(monkeypatch):
    counts, genes, kind = controls(0, kinds=60, cells=12)
    assert len(compare_controls(counts, genes, kind)) == 50
    counts, genes, kind = controls(0, cells=150, odd=("NT-2",))
    whole = compare_controls(counts, genes, kind)
    monkeypatch.setattr(control_kinds, "_MOST_CELLS", 400)
    part = compare_controls(counts, genes, kind)
    assert verdicts(part) == verdicts(whole)
    assert [row["cells"] for row in part] == [150] * 4


def test_form_of_the_counts_does_not_matter():
    counts, genes, kind = controls(0, odd=("NT-1",))
    expected = pd.DataFrame(compare_controls(counts, genes, kind))
    for form in (sparse.csr_matrix(counts), sparse.csc_matrix(counts), counts.astype(np.uint16)):
        pd.testing.assert_frame_equal(pd.DataFrame(compare_controls(form, genes, kind)), expected)
