"""Strong perturbations from a summary table."""

import json

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.data.prepare.raw.strong_table import read_summary, strong_perturbations
from gpo_vae_jax.errors import DataError

LIMITS = {"min_degs": 50, "max_knockdown": -0.3, "min_cells": 25}


@pytest.fixture
def summary_table(golden):
    return pd.DataFrame(json.loads(str(golden("filters")["summary"])))


@pytest.mark.parametrize("form", ["csv", "tsv", "xlsx"])
def test_the_recorded_table_gives_the_recorded_perturbations(golden, summary_table, tmp_path, form):
    path = tmp_path / f"summary.{form}"
    if form == "xlsx":
        with pd.ExcelWriter(path) as book:
            pd.DataFrame({"column": ["other"]}).to_excel(book, sheet_name="description")
            summary_table.to_excel(book, sheet_name="stats", index=False)
    else:
        summary_table.to_csv(path, sep="\t" if form == "tsv" else ",", index=False)
    summary = read_summary(path, "stats", "second_field")
    assert strong_perturbations(summary, **LIMITS) == tuple(golden("filters")["strong"])


def test_limits_are_more_at_most_more_and_nothing_is_not_strong(summary_table, tmp_path):
    summary_table.loc["0", "percent knockdown"] = np.nan
    summary_table.to_csv(tmp_path / "s.csv")
    summary = read_summary(tmp_path / "s.csv", "", "whole")
    assert strong_perturbations(summary, **LIMITS) == ("2_G2_P1_ENSG",)
    for change in ({"min_degs": 51}, {"max_knockdown": -0.31}, {"min_cells": 26}):
        assert strong_perturbations(summary, **LIMITS | change) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="percent knockdown"), "lacks the columns percent knockdown; it"),
        (
            lambda t: t.assign(**{"percent knockdown": "low"}),
            "'percent knockdown' .* is not numeric",
        ),
        (lambda t: t.assign(**{"genetic perturbation": "G0"}), "without a second '_' field: G0"),
    ],
    ids=["column", "type", "names"],
)
def test_tables_that_do_not_fit(summary_table, tmp_path, change, message):
    change(summary_table).to_csv(tmp_path / "s.csv")
    with pytest.raises(DataError, match=message):
        read_summary(tmp_path / "s.csv", "", "second_field")


def test_files_that_do_not_fit(summary_table, tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*gpo-vae download summary_stats"):
        read_summary(tmp_path / "absent.xlsx", "stats", "whole")
    (tmp_path / "text.xlsx").write_text("hello")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_summary(tmp_path / "text.xlsx", "stats", "whole")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_summary(tmp_path / "empty.csv", "", "whole")
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        for name in ("RPE1", "K562"):
            summary_table.to_excel(book, sheet_name=name)
    with pytest.raises(DataError, match="has no sheet 'RPE'; did you mean 'RPE1'"):
        read_summary(tmp_path / "two.xlsx", "RPE", "whole")
    with pytest.raises(DataError, match=r"strong_sheet: .*there are: K562, RPE1"):
        read_summary(tmp_path / "two.xlsx", "", "whole")


@pytest.mark.parametrize(
    ("sheet", "n_rows", "n_strong"),
    [("TabC_RPE1_summary_statistic", 2680, 1543), ("TabB_K562_day6_summary_stat", 2285, 1092)],
)
def test_the_published_workbook(shared, sheet, n_rows, n_strong):
    path = shared("data/replogle2022_summary_stats.xlsx")
    summary = read_summary(path, sheet, "second_field")
    strong = strong_perturbations(summary, **LIMITS)
    assert (len(summary.names), len(strong)) == (n_rows, n_strong)
    assert "non-targeting" not in strong and "AARS" in strong
