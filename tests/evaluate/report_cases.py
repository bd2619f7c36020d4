"""Evaluations in which something is missing or extreme, each with its page rendered once."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pandas as pd

from gpo_vae_jax.evaluate.network.edges import ranked_edges
from gpo_vae_jax.evaluate.network.regulators import regulators
from gpo_vae_jax.evaluate.results import Evaluation
from tests.evaluate.report_example import example, with_summary
from tests.evaluate.report_reader import Page, page_of

NASTY = '<script>alert("x")</script> & $\\frac{1}{0}$ -->\n' + "LONG" * 30


@functools.cache
def page(case: str) -> Page:
    """Return the page of a case, a key of CASES."""
    return page_of(CASES[case]())


def without(evaluation: Evaluation, *keys: str) -> Evaluation:
    """Return the evaluation without some entries of its summary."""
    return with_summary(evaluation, **dict.fromkeys(keys))


def no_edges() -> Evaluation:
    """Return an evaluation whose network has no edge above 0.5, in no epoch."""
    evaluation = example(n_perturbed=5, n_extended=2, n_genes=12, epochs=3)
    low = np.full((7, 7), 0.1)
    nothing = {"n": 0, "n_evaluable": 0, "true_positives": 0, "mean_wasserstein": float("nan")}
    found = {"edges": nothing, "paths": [{"length": 2, **nothing}]}
    known = {
        key: {**entry, "n_called": 0, "n_shared": 0, "precision": float("nan"), "recall": 0.0}
        for key, entry in evaluation.summary["known_networks"].items()
    }
    network = {"n_edges": 0, "n_edges_block": 0, "block": found, "all": found}
    return dataclasses.replace(
        with_summary(evaluation, network=network, known_networks=known),
        probabilities=low,
        edges=ranked_edges(low, evaluation.treatments, 5),
        regulators=regulators(low, evaluation.treatments, 5),
        curve=pd.DataFrame(),
        history=evaluation.history.assign(**{"edges_0.5": 0, "block_edges_0.5": 0}),
    )


def nan_everywhere() -> Evaluation:
    """Return an evaluation in which no number could be computed."""
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
        perturbations=evaluation.perturbations.assign(r_model=np.nan, r_train_mean=np.nan),
    )


def one_perturbation() -> Evaluation:
    """Return an evaluation of one perturbation, one gene and one epoch."""
    return example(n_perturbed=1, n_extended=0, n_genes=1, epochs=1)


def bare() -> Evaluation:
    """Return an evaluation of which only the description of the run is left."""
    evaluation = one_perturbation()
    keys = [key for key in evaluation.summary if key != "run"]
    return dataclasses.replace(
        without(evaluation, *keys),
        history=None,
        curve=pd.DataFrame(),
        perturbations=pd.DataFrame(),
    )


def no_test_cells() -> Evaluation:
    """Return an evaluation without test cells."""
    evaluation = example(n_perturbed=4, n_extended=1, n_genes=9, epochs=0)
    nan = {key: np.full((4, 9), np.nan) for key in ("perturbseq", "mean")}
    effects = evaluation.summary["effects"]
    effects = {key: {"reference": part["reference"]} for key, part in effects.items()}
    return dataclasses.replace(
        with_summary(evaluation, effects=effects),
        effects=dataclasses.replace(evaluation.effects, held_out=nan),
        perturbations=evaluation.perturbations.assign(r_model=np.nan, r_train_mean=np.nan),
    )


def in_memory() -> Evaluation:
    """Return an evaluation without a run folder, device and history."""
    evaluation = example(n_perturbed=4, n_extended=1, n_genes=9, epochs=0, name="anndata")
    run = {
        **evaluation.summary["run"],
        "workdir": None,
        "device": None,
        "versions": {},
        "options": {"data_path": None, "networks": None},
        "data": {**evaluation.summary["run"]["data"], "path": "in memory"},
    }
    settings = {**evaluation.summary["settings"], "effect_particles": 100}
    changed = with_summary(evaluation, run=run, settings=settings, known_networks={})
    return dataclasses.replace(changed, history=None)


def nasty() -> Evaluation:
    """Return an evaluation whose names try to break the page."""
    evaluation = example(n_perturbed=4, n_extended=1, n_genes=9, epochs=0, name=NASTY)
    names = tuple(f"{NASTY} {i}" for i in range(5))
    effects = dataclasses.replace(
        evaluation.effects, labels=names[:4], genes=tuple(f"{NASTY} gene {i}" for i in range(9))
    )
    summary = {**evaluation.summary, "known_networks": {NASTY: {"precision": 0.5, "n_called": 3}}}
    summary["run"] = {**summary["run"], "workdir": NASTY, "versions": {NASTY: NASTY}}
    edges = ranked_edges(evaluation.probabilities, names, 4)
    return dataclasses.replace(
        evaluation,
        summary=summary,
        effects=effects,
        treatments=names,
        edges=edges.assign(**{f"known_{NASTY}": True}),
        regulators=pd.DataFrame({"regulator": names, NASTY: range(5)}),
        perturbations=evaluation.perturbations.assign(perturbation=NASTY),
    )


CASES = {
    "no edges": no_edges,
    "nan everywhere": nan_everywhere,
    "one perturbation": one_perturbation,
    "bare": bare,
    "no test cells": no_test_cells,
    "in memory": in_memory,
    "nasty": nasty,
}
