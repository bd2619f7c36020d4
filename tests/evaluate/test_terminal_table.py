"""The table that `gpo-vae evaluate` prints."""

from gpo_vae_jax.evaluate.terminal_table import terminal_table


def test_the_terminal_table_fits_80_columns_and_starts_with_test_cells(evaluation):
    lines = terminal_table(evaluation.summary).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:4] == ["Effects", "on", "test", "cells"]
    text = "\n".join(lines)
    for part in ("Predictive IWELBO", "QC pass rate of drawn cells, observed library sizes",
                 "False omission rate ↓", "KNOWN", "True network: AUPRC"):  # fmt: skip
        assert part in text


def test_the_best_prediction_is_marked_and_the_ceiling_is_none():
    held_out = {
        source: {"pearson": r, "r2": None}
        for source, r in {
            "model": 0.4,
            "train_mean": 0.5,
            "global_mean": 0.3,
            "ceiling": 0.9,
        }.items()
    }
    lines = terminal_table({"effects": {"perturbseq": {"held_out": held_out}}}).splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["Effects", "on", "test", "cells", "r", "R2"],
        ["network", "0.400", "-"],
        ["training", "mean", "0.500*", "-"],
        ["global", "mean", "0.300", "-"],
        ["half", "vs", "half", "0.900", "-"],
    ]
    assert lines[5].startswith("The training mean predicts effects on test cells better than")


def test_nothing_evaluated_is_nothing_said():
    assert terminal_table({}) == ""
