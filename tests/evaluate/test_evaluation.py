"""A whole evaluation in memory: what decides its numbers, and what does not."""

import dataclasses
import math

import pytest

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.evaluation import evaluate
from gpo_vae_jax.evaluate.summary_numbers import numbers


def test_neither_memory_nor_doing_it_again_changes_a_number(trained, dataset, evaluation):
    settings = EvaluateConfig(**evaluation.summary["settings"])
    again = evaluate(trained, dataset, dataclasses.replace(settings, memory_gib=1e-9))
    first, second = numbers(evaluation.summary), numbers(again.summary)
    known = ("known_networks", "known_auprc")  # not given the second time
    first, second = (
        {path: value for path, value in found.items() if not any(k in path for k in known)}
        for found in (first, second)
    )
    assert set(first) == set(second)
    for path, value in first.items():
        assert second[path] == pytest.approx(value, rel=2e-5, abs=1e-6, nan_ok=True), path


def test_known_networks_are_compared_by_name(evaluation):
    known = evaluation.summary["known_networks"]
    assert set(known) == {"KNOWN", "union"}
    assert known["KNOWN"]["n_known"] == 2
    assert {"known_KNOWN", "known_union"} <= set(evaluation.edges.columns)
    edges = evaluation.edges.set_index(["source", "target"])["known_KNOWN"]
    assert edges["A", "B"]
    assert not edges["B", "A"]


def test_the_truth_of_simulated_data_is_compared_with(evaluation):
    truth = evaluation.summary["truth"]
    assert (truth["n_true"], truth["n_possible"]) == (3, 9)
    assert 0 <= truth["auprc"] <= 1
    assert not math.isnan(truth["mask"]["recall"])


def test_data_of_another_model_is_refused(trained, dataset):
    other = dataclasses.replace(dataset, genes=(*dataset.genes[:-1], "other"))
    with pytest.raises(DataError, match="other genes than the model was trained on"):
        evaluate(trained, other)
