"""A fork's own metric, lower is better: one function and one row of the metric table."""

import numpy as np
import pytest

from gpo_vae_jax.evaluate import metrics
from gpo_vae_jax.evaluate.comparison.compare import EvaluatedRun, compare
from gpo_vae_jax.evaluate.effects.effect_metrics import effect_metrics
from gpo_vae_jax.evaluate.files_out import numbers_table
from gpo_vae_jax.evaluate.main_numbers import main_table
from gpo_vae_jax.evaluate.metrics import Metric
from gpo_vae_jax.evaluate.report.prediction_section import metrics_section
from gpo_vae_jax.evaluate.terminal_table import terminal_table

# The function:


def mean_squared_error(observed, predicted, top):
    """Return the mean squared error over all (perturbation, gene) pairs."""
    return float(np.square(observed - predicted).mean())


# The row:

ROW = Metric(
    name="mse",
    label="Mean squared error",
    unit="log2²",
    higher_is_better=False,
    limits=(0, None),
    about="Mean squared error of predicted effects.",
    of_effects=mean_squared_error,
)


@pytest.fixture(autouse=True)
def fork(monkeypatch):
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, ROW))


@pytest.fixture
def summary():
    """Return the summary of an evaluation in which the model has the smallest error."""
    rng = np.random.default_rng(0)
    observed = rng.normal(size=(4, 30))
    errors = {"model": 0.1, "train_mean": 0.4, "global_mean": 1.0, "ceiling": 0.01}
    found = {
        source: effect_metrics(observed, observed + error * rng.normal(size=(4, 30)), top=5)
        for source, error in errors.items()
    }
    return {"effects": {"perturbseq": {"held_out": found, "reference": found}}}


def test_the_metric_is_computed_and_the_smallest_value_is_marked(summary):
    values = summary["effects"]["perturbseq"]["held_out"]
    assert values["model"]["mse"] < values["train_mean"]["mse"] < values["global_mean"]["mse"]
    lines = terminal_table(summary).splitlines()
    start = next(i for i, line in enumerate(lines) if "mse↓" in line)
    marked = [line.endswith("*") for line in lines[start + 1 : start + 5]]
    assert marked == [True, False, False, False]  # the ceiling is no prediction


def test_tables_name_it_and_its_direction(summary):
    row = (
        main_table(summary)
        .set_index(["metric", "cells", "source"])
        .loc["mse", "all cells", "network"]
    )
    assert (row["label"], row["better"]) == ("Mean squared error", "lower")
    path = "effects.perturbseq.held_out.model.mse"
    row = numbers_table(summary).set_index("metric").loc[path]
    assert (row["label"], row["better"]) == ("Mean squared error, test cells, network", "lower")


def test_a_comparison_prefers_the_smaller_value(summary):
    worse = {"effects": {"perturbseq": {"held_out": {"model": {"mse": 9.0}}}}}
    runs = [
        EvaluatedRun(name, found, ("A", "B"), 2, np.full((2, 2), 0.2))
        for name, found in (("ours", summary), ("theirs", worse))
    ]
    table = compare(runs).metrics.set_index("metric")
    row = table.loc["effects.perturbseq.held_out.model.mse"]
    assert (row["best"], row["theirs vs ours"]) == ("ours", "worse")


def test_the_report_marks_the_smaller_value_and_draws_it_on_its_own_axis(summary):
    section = metrics_section(summary)
    rows = str(section.body).split("<tr>")[1:]
    row = next(row for row in rows if "Mean squared error" in row)
    assert "(lower is better)" in row
    values = summary["effects"]["perturbseq"]["held_out"]
    assert f'<span class="best">{values["model"]["mse"]:.3f}</span>' in row
    assert row.count('class="best"') == 1
    titles = [panel.alt for plot in section.plots for panel in plot.panels]
    assert any(title.startswith("Mean squared error, log2² (lower is better)") for title in titles)
