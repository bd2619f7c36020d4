"""The page of evaluations in which something is missing: it is complete, and says so."""

import pytest

from tests.evaluate.report_cases import page
from tests.evaluate.report_reader import SECTIONS


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("no edges", "no edges with a probability above 0.5"),
        ("no edges", "Most probable pairs, all below the threshold"),
        ("no edges", "Regulators by probability sum"),
        ("no edges", "no edge above 0.5"),
        ("nan everywhere", "No verdict."),
        ("nan everywhere", "There are no observed effects"),
        ("one perturbation", "1 perturbed gene."),
        ("one perturbation", "No edge above 0.5, and no pair to draw instead."),
        ("bare", "No known network was compared with"),
        ("bare", "No history of the training epochs is at hand"),
        ("bare", "The network was not evaluated."),
        ("bare", "nothing here tells which edges are correct"),
        ("no test cells", "on all cells, training cells included"),
        ("no test cells", "No perturbation has test cells"),
        ("in memory", "cells of data in memory"),
        ("in memory", "Data in memory"),
        ("in memory", "No history of the training epochs is at hand"),
        ("in memory", "gv.evaluate(trained, prepared, effect_particles=100)"),
    ],
)
def test_what_is_missing_is_said(case, says):
    assert says in page(case).words


@pytest.mark.parametrize(
    "case", ["no edges", "nan everywhere", "one perturbation", "bare", "in memory"]
)
def test_all_sections_stay_and_no_gap_shows_through(case):
    read = page(case)
    assert [kept["id"] for tag, kept in read.tags if tag == "section"] == SECTIONS
    assert "nan" not in read.words
    assert "None" not in read.words.replace("None of", "")


def test_without_a_run_folder_no_folder_and_no_device_are_named():
    method = page("in memory").words.rpartition("How this was computed")[2]
    facts = method.partition("Settings of the evaluation")[0]
    assert "training seed" in facts
    assert "folder" not in facts
    assert "trained on" not in facts


def test_names_cannot_break_the_page():
    read = page("nasty")
    assert "script" not in {tag for tag, _ in read.tags}
    assert '<script>alert("x")</script> & $\\frac{1}{0}$' in read.words
    assert all(reference.startswith("#") for reference in read.references)
