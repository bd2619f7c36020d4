"""What the plots of the report show: every value on an axis that suits its metric."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from gpo_vae_jax.evaluate import metrics
from gpo_vae_jax.evaluate.report.history_plots import EDGES, history_plot
from gpo_vae_jax.evaluate.report.metric_plots import metrics_plot

ERROR = metrics.Metric("rmse", "RMSE", "log2", False, (0, None), "Root of the mean squared error.")


def drawn(panel):
    """Return the axes of a panel, drawn."""
    axes = Figure().add_subplot()
    panel.draw(axes)
    return axes


def history(**columns):
    return pd.DataFrame({"epoch": range(4), **columns})


@pytest.mark.parametrize("values", [(0.3, 12.0), (250.0, 900.0)])
def test_a_metric_where_lower_is_better_has_its_own_axis(monkeypatch, values):
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, ERROR))
    scores = {
        who: {"pearson": 0.5, "rmse": value}
        for who, value in zip(("model", "train_mean"), values, strict=True)
    }
    plot = metrics_plot({"held_out": scores, "reference": scores}, "")
    assert len(plot.panels) == 3  # test cells, all cells, and the error on both
    axes = drawn(plot.panels[2])
    assert axes.get_title(loc="left") == "" or "lower is better" in axes.get_title(loc="left")
    left, right = axes.get_xlim()
    assert left <= 0
    assert right > max(values)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["test cells", "all cells"]
    assert "lower is better" in plot.panels[2].alt


def test_values_far_below_a_shared_axis_are_written_at_its_edge():
    plot = metrics_plot({"held_out": {"model": {"pearson": 0.5, "r2": -7.0}}}, "")
    axes = drawn(plot.panels[0])
    assert axes.get_xlim()[0] > -1
    assert any("7.0" in text.get_text() for text in axes.texts)


def test_without_an_edge_the_plot_says_so_instead_of_an_empty_axis():
    plot = history_plot(history(**{"edges_0.5": 0, "block_edges_0.5": 0, "val_loss": 1.0}), 0, "")
    panel = plot.panels[-1]
    axes = drawn(panel)
    assert panel.alt.startswith(EDGES)
    assert [text.get_text() for text in axes.texts] == ["no edge above 0.5"]
    assert len(axes.get_yticks()) == 0
    assert not axes.lines


@pytest.mark.parametrize("values", [[0, 0, 0, 0], [5, 4, 1, 0], [3, 3, 3, 3]])
def test_what_is_nowhere_negative_has_no_axis_below_zero(values):
    plot = history_plot(history(val_penalty=np.array(values, float)), None, "")
    low, high = drawn(plot.panels[0]).get_ylim()
    assert low >= -0.1 * high
    assert high > max(values[1:])  # the first epoch may lie beyond


def test_every_panel_of_the_history_names_its_axis():
    plot = history_plot(history(val_loss=1.0, gradient_norm=2.0, **{"edges_0.5": 3}), 2, "")
    assert [drawn(panel).get_xlabel() for panel in plot.panels] == ["epoch"] * 3


def test_a_single_epoch_is_drawn_as_a_dot():
    axes = drawn(history_plot(history(val_loss=1.0)[:1], 0, "").panels[0])
    assert axes.get_xlim() == (-0.5, 0.5)
    assert axes.lines[0].get_marker() == "o"
