"""Recovery of a known network: a perfect, a reversed and a random ranking."""

import numpy as np
import pytest

from gpo_vae_jax.evaluate.network.recovery import judged_pairs, recovery

TRUTH = np.zeros((6, 6))
TRUTH[0, 3], TRUTH[1, 0], TRUTH[2, 5], TRUTH[4, 1] = 0.5, -0.5, 1.0, 1.0


def test_perfect_ranking_is_one_and_signs_do_not_matter():
    found = recovery(np.abs(TRUTH), TRUTH, 6)
    assert (found.auprc, found.auroc, found.n_true, found.n_possible) == (1.0, 1.0, 4, 30)
    assert found.ratio == pytest.approx(30 / 4)


def test_reversed_ranking_has_auroc_zero():
    assert recovery(-np.abs(TRUTH), TRUTH, 6).auroc == 0.0


def test_only_perturbed_sources_and_other_targets_are_compared():
    scores = np.abs(TRUTH) + np.eye(6)
    scores[5] = 7.0  # a source that was never perturbed
    found = recovery(scores, TRUTH, 3)
    assert (found.auprc, found.n_true, found.n_possible) == (1.0, 3, 15)


def test_network_without_edges_cannot_be_ranked():
    with pytest.raises(ValueError, match="0 of 30"):
        recovery(TRUTH, np.zeros((6, 6)), 6)


def test_pairs_that_are_judged():
    measured = np.array([1, 1, 0, 1])
    pairs = judged_pairs(4, 2, measured=measured)
    assert {(i, j) for i, j in np.argwhere(pairs)} == {(0, 1), (0, 3), (1, 0), (1, 3)}
    block = judged_pairs(4, 2, block=True)
    assert {(i, j) for i, j in np.argwhere(block)} == {(0, 1), (1, 0)}


def test_pairs_to_compare_can_be_chosen():
    scores = np.abs(TRUTH)
    scores[0, 1] = 9.0  # wrong, and not compared
    counted = judged_pairs(6, 6)
    assert recovery(scores, TRUTH, 6, counted=counted).auprc < 1
    counted[0, 1] = False
    assert recovery(scores, TRUTH, 6, counted=counted).auprc == 1
