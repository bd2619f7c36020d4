"""Perturbations without training cells: their kinds, and when the model is said to have skill."""

import math

import numpy as np
import pytest

from gpo_vae_jax.evaluate.effect_sources import UNSEEN
from gpo_vae_jax.evaluate.effects.unseen import kind_of, skill
from gpo_vae_jax.evaluate.unseen_words import skill_in_words


@pytest.mark.parametrize(
    ("genes", "kind"),
    [
        (("C",), "gene"),
        (("B",), "gene_in_combinations"),
        (("A", "B"), "combination_all_seen"),
        (("A", "C"), "combination_part_seen"),
        (("C", "D"), "combination_none_seen"),
        (("A", "B", "D"), "combination_part_seen"),
    ],
)
def test_kinds(genes, kind):
    assert kind_of(genes, seen={"A", "B"}, alone={"A"}) == kind
    assert kind in UNSEEN


def others(model, mean=0.0, additive=math.nan, n=4):
    """Return r over other genes, with a little spread between perturbations."""
    spread = np.linspace(-0.01, 0.01, n)
    return {
        "model": np.full(n, model) + spread,
        "global_mean": np.full(n, mean) - spread,
        "additive": np.full(n, additive),
        "knockdown": np.full(n, math.nan),
    }


def test_skill_is_a_lead_beyond_two_standard_errors():
    found = skill(others(0.5, 0.3))
    assert (found["verdict"], found["baseline"]) == ("skill", "global_mean")
    assert found["difference"] == pytest.approx(0.2)
    spread = 2 * np.linspace(-0.01, 0.01, 4)
    assert found["standard_error"] == pytest.approx(spread.std(ddof=1) / 2)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (others(0.5, 0.6), "none"),
        (others(0.5, 0.498), "none"),  # level
        (others(-0.1, -0.5), "none"),  # against the truth, if less so than the mean
        (others(0.5, 0.49), "unclear"),  # ahead by a standard error
        (others(0.5, 0.3, n=2), "unclear"),  # too few to tell
        (others(0.5, 0.3, n=1), "unclear"),
        (others(0.5, 0.3, additive=0.8), "none"),
    ],
)
def test_otherwise_there_is_none_or_it_is_unclear(given, verdict):
    assert skill(given)["verdict"] == verdict


def test_a_source_that_predicts_no_change_counts_as_zero():
    found = skill(others(0.2, mean=-0.3))
    assert found["baseline"] in ("additive", "knockdown")
    assert found["difference"] == pytest.approx(0.2)


def test_words():
    scores = {
        "n_perturbations": 3,
        "skill": {"verdict": "none", "baseline": "additive"},
        "model": {"pearson_others": 0.25},
        "additive": {"pearson_others": 0.5},
    }
    (said,) = skill_in_words({"unseen": {"combination_all_seen": scores, "all": scores}})
    assert said == (
        "3 unseen combinations of seen genes: no skill. On the genes that are not perturbed "
        "themselves the model reaches r 0.250; the best baseline is the sum of single effects at r"
        " 0.500."
    )
    alone = {
        "n_perturbations": 1,
        "skill": {"verdict": "unclear", "baseline": "knockdown"},
        "model": {"pearson_others": 0.1},
        "knockdown": {"pearson_others": math.nan},
    }
    (said,) = skill_in_words({"unseen": {"gene": alone}})
    assert said.startswith("1 gene that no training cell perturbs: ahead of the baselines, but")
    assert said.endswith("the best baseline is predicting that no other gene changes.")
    assert skill_in_words({}) == []
