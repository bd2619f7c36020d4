"""Extended genes: the rule, and the whole stage on a small example."""

import numpy as np
import pytest

from gpo_vae_jax.data.prepare.responsive_genes import extended_genes, passes


@pytest.mark.parametrize(
    ("rule", "expected"), [("both", [1, 0, 0, 1, 0]), ("up_only", [1, 0, 0, 1, 1])]
)
def test_the_rule_asks_for_p_on_both_sides_or_upwards_only(rule, expected):
    change = np.array([4.0, 4.0, 2.9, -4.0, -4.0])
    p = np.array([0.001, 0.5, 0.001, 0.001, 0.5])
    assert passes(change, p, rule, 3.0, 0.01).astype(int).tolist() == expected


def example():
    """Perturbing A raises X strongly and Y a little; perturbing B raises A; C does nothing."""
    rng = np.random.default_rng(0)
    genes = ["Y", "A", "X", "B", "C", *(f"other{i}" for i in range(20))]
    label = np.repeat(["A", "B", "C", "control"], 80)
    mean = np.full((320, len(genes)), 20.0)
    mean[:, :3] = 0.3, 0.3, 0.3
    mean[label == "A", 2] = 60
    mean[label == "A", 0] = 0.6
    mean[label == "B", 1] = 60
    return rng.poisson(mean), label, genes


def select(**changes):
    counts, label, genes = example()
    settings = {"rule": "both", "least_change": 3.0, "p_below": 0.01} | changes
    return extended_genes(counts, label, "control", genes, ["A", "B", "C"], **settings)


def test_the_first_responding_gene_is_taken_unless_it_is_perturbed():
    assert select() == ("X",)


def test_none_is_taken_where_none_passes():
    assert select(least_change=20.0) == ()
    assert select(rule="none") == ()
