"""The report of evaluations in which something is missing: it is written, and says so."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.evaluate.network.edges import ranked_edges
from gpo_vae_jax.evaluate.report import write_report
from tests.evaluate.report_example import example, with_summary
from tests.evaluate.report_reader import SECTIONS, Page


def without(evaluation, *keys):
    return with_summary(evaluation, **dict.fromkeys(keys))


def empty_network():
    evaluation = example(n_perturbed=5, n_extended=2, n_genes=12, epochs=0)
    low = np.full((7, 7), 0.1)
    gone = {"n": 0, "n_evaluable": 0, "true_positives": 0, "mean_wasserstein": float("nan")}
    network = {"n_edges": 0, "n_edges_block": 0, "block": {"edges": gone}, "all": {"edges": gone}}
    return dataclasses.replace(
        with_summary(evaluation, network=network),
        probabilities=low,
        edges=ranked_edges(low, evaluation.treatments, 5),
        regulators=pd.DataFrame(),
        curve=pd.DataFrame(),
    )


def nan_everywhere():
    evaluation = example(n_perturbed=3, n_extended=1, n_genes=8, epochs=2)

    def blank(found):
        if isinstance(found, dict):
            return {key: blank(value) for key, value in found.items()}
        return found if isinstance(found, str | list) else float("nan")

    arrays = ("model", "reference", "held_out", "train_mean", "spread")
    effects = dataclasses.replace(
        evaluation.effects,
        **{name: {"perturbseq": np.full((3, 8), np.nan)} for name in arrays},
    )
    return dataclasses.replace(
        evaluation,
        summary={**blank(evaluation.summary), "settings": {}, "truth": None},
        effects=effects,
        history=evaluation.history * np.nan,
        curve=evaluation.curve.assign(mean_wasserstein=np.nan, true_positive_share=np.nan),
        probabilities=np.full((4, 4), np.nan),
    )


def one_perturbation():
    return example(n_perturbed=1, n_extended=0, n_genes=1, epochs=1)


def bare():
    evaluation = one_perturbation()
    keys = [key for key in evaluation.summary if key != "run"]
    return dataclasses.replace(without(evaluation, *keys), history=None, curve=pd.DataFrame())


def no_test_cells():
    evaluation = example(n_perturbed=4, n_extended=1, n_genes=9, epochs=0)
    nan = {key: np.full((4, 9), np.nan) for key in ("perturbseq", "mean")}
    effects = evaluation.summary["effects"]
    effects = {key: {"reference": part["reference"]} for key, part in effects.items()}
    return dataclasses.replace(
        with_summary(evaluation, effects=effects),
        effects=dataclasses.replace(evaluation.effects, held_out=nan),
    )


@pytest.mark.parametrize(
    "make, says",
    [
        (empty_network, "no edges with a probability above 0.5"),
        (empty_network, "Most probable pairs, below the threshold"),
        (nan_everywhere, "No verdict."),
        (nan_everywhere, "There are no observed effects"),
        (one_perturbation, "1 perturbed gene."),
        (one_perturbation, "There is no edge to draw."),
        (bare, "No known network was compared with."),
        (bare, "The run has no record of its epochs."),
        (bare, "The network was not evaluated."),
        (no_test_cells, "on all cells, training cells included"),
    ],
)
def test_what_is_missing_is_said(make, says, pages):
    assert says in pages(make).words


@pytest.mark.parametrize("make", [empty_network, nan_everywhere, one_perturbation, bare])
def test_all_sections_stay_and_no_gap_shows_through(make, pages):
    page = pages(make)
    assert [kept["id"] for tag, kept in page.tags if tag == "section"] == SECTIONS
    assert "nan" not in page.words and "None" not in page.words


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return a function from a maker to its page, written once."""

    @functools.cache
    def written(make):
        path = write_report(tmp_path_factory.mktemp("report"), make())
        return Page(path.read_text(encoding="utf-8"))

    return written
