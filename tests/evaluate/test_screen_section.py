"""What the report says of guides and controls, and which genes are drawn."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.evaluate.files_out import write_files
from gpo_vae_jax.evaluate.report.guide_plot import chosen_genes, guide_plot
from gpo_vae_jax.evaluate.report.screen_section import guides_said, kinds_said, screen_section
from gpo_vae_jax.types import ScreenQuality
from tests.evaluate.report_cases import NASTY
from tests.evaluate.report_example import example, with_screen
from tests.evaluate.report_reader import SECTIONS, Page, page_of

NONE = pd.DataFrame()
TINY = {"n_perturbed": 2, "n_extended": 1, "n_genes": 5, "epochs": 0}


@pytest.fixture(scope="module")
def screen():
    return with_screen(example(**TINY))


def read(guides, kinds):
    """Return the section as a page."""
    return Page(screen_section(guides, kinds).html())


def test_without_guides_and_kinds_there_is_no_section():
    assert screen_section(NONE, NONE) is None
    assert "screen" not in SECTIONS
    page = page_of(example(**TINY))
    assert "Guides and controls" not in page.words


def test_the_tables_list_what_is_odd(screen):
    page = read(screen.guides, screen.control_kinds)
    rows = page.words.partition("verdict")[2]
    for guide in ("GENE0000_sg3", "GENE0001_sg1", "GENE0003_sg3"):
        assert guide in rows
    assert "GENE0000_sg1" not in rows
    kinds = page.words.partition("Kinds of control cells")[2]
    assert kinds.index("NT-1") < kinds.index("NT-0")  # what stands out comes first
    assert "GENE" not in kinds


def test_guides_alone_or_kinds_alone_are_enough(screen):
    assert "kinds of control" not in read(screen.guides, NONE).words
    page = read(NONE, screen.control_kinds)
    assert "NT-1 differs from the others" in page.words
    assert "guides work" not in page.words


@pytest.mark.parametrize(
    ("verdicts", "others", "said"),
    [
        (["works"], [0], "1 of 1 guide works."),
        (["works"] * 3, [2, 2, 2], "3 of 3 guides work."),
        (
            ["works", "no effect", "no effect", "disagrees", "unclear", "too few cells"],
            [0, 1, 0, 1, 0, 0],
            "1 of 6 guides works; 1 does nothing although others of its gene work; 1 disagrees "
            "with the others of its gene; 1 changes nothing, like the others of its gene; 2 cannot "
            "be judged.",
        ),
    ],
)
def test_a_sentence_counts_the_guides(verdicts, others, said):
    assert guides_said(pd.DataFrame({"verdict": verdicts, "others_work": others})) == said


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["alike"] * 3, "All 3 kinds of control cells that have enough cells are alike."),
        (["too few cells"] * 2, "No kind of control cells has enough cells to compare."),
        (["stands out", "alike"], "Of 2 kinds of control cells, k0 differs from the others."),
        (
            ["stands out"] * 6 + ["alike"],
            "Of 7 kinds of control cells, k0, k1, k2, k3 and 2 more differ from the others.",
        ),
        (
            ["no others", "stands out"],
            "Of 2 kinds of control cells, k1 differs from the others.",
        ),
    ],
)
def test_a_sentence_names_the_kinds_that_stand_out(verdicts, said):
    names = [f"k{i}" for i in range(len(verdicts))]
    assert kinds_said(pd.DataFrame({"kind": names, "verdict": verdicts})) == said


def test_of_many_genes_the_odd_ones_are_drawn(screen):
    many = with_screen(example(**TINY), n_genes=100).guides
    drawn = chosen_genes(many)
    odd = set(many.loc[many["verdict"] != "works", "gene"])
    assert len(odd) == 35
    assert set(drawn) == odd
    assert "35 of 100 genes" in str(guide_plot(many).caption)
    assert chosen_genes(many.assign(verdict="works")) == []
    assert guide_plot(many.assign(verdict="works")) is None
    assert chosen_genes(screen.guides) == sorted(set(screen.guides["gene"]))
    assert len(chosen_genes(many.assign(verdict="disagrees"))) == 42


def test_guides_without_a_measured_target_are_counted_not_drawn(screen):
    guides = screen.guides.copy()
    guides.loc[:2, ["log2_fold_change", "standard_error"]] = np.nan
    plot = guide_plot(guides)
    assert "Not drawn: 3 guides" in str(plot.caption)
    assert "GENE0000_sg3" not in plot.panels[0].alt
    assert guide_plot(guides.assign(log2_fold_change=np.nan)) is None
    assert "\N{EN DASH}" in read(guides, NONE).words


def test_the_key_shows_the_verdicts_there_are(screen):
    labels = [mark.label for mark in guide_plot(screen.guides).marks]
    assert labels == ["the guide works", "no effect", "disagrees with the other guides"]
    short = guide_plot(screen.guides.assign(verdict="too few cells"))
    assert [mark.label for mark in short.marks] == ["unclear, or too few cells"]


def test_odd_names_cannot_break_the_section(screen):
    guides = screen.guides.assign(guide=NASTY, gene=NASTY, verdict="disagrees")
    kinds = screen.control_kinds.assign(kind=NASTY)
    page = read(guides, kinds)
    assert "script" not in {tag for tag, _ in page.tags}


def test_an_evaluation_has_the_rows_of_its_data_and_writes_them(
    trained, dataset, evaluation, screen, tmp_path
):
    from gpo_vae_jax.evaluate.evaluation import evaluate

    assert len(evaluation.guides) == len(evaluation.control_kinds) == 0
    rows = ScreenQuality(
        tuple(screen.guides.to_dict("records")), tuple(screen.control_kinds.to_dict("records"))
    )
    settings = dataclasses.replace(evaluation_settings(), iwelbo_particles=2)
    found = evaluate(trained, dataclasses.replace(dataset, screen=rows), settings)
    pd.testing.assert_frame_equal(found.guides, screen.guides)
    paths = write_files(tmp_path, found)
    assert {"guides.csv", "control_kinds.csv"} <= {path.name for path in paths}
    written = pd.read_csv(tmp_path / "guides.csv")
    assert written["verdict"].tolist() == screen.guides["verdict"].tolist()
    assert pd.read_csv(tmp_path / "control_kinds.csv")["kind"].tolist() == [
        f"NT-{i}" for i in range(4)
    ]


def evaluation_settings():
    from tests.evaluate.effects.test_model_effects import SETTINGS

    return dataclasses.replace(SETTINGS, quality_cells=10, matched_edges=(2,))
