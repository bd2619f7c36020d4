"""The written report: complete, self-contained, the same every time."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

from gpo_vae_jax.evaluate.report import write_report
from gpo_vae_jax.evaluate.report.look import COLOURS
from gpo_vae_jax.evaluate.report.page import PLOTS, document, report_sections
from tests.evaluate.report_example import example, with_screen, with_summary
from tests.evaluate.report_reader import SECTIONS, Page

TINY = {"n_perturbed": 2, "n_extended": 1, "n_genes": 5, "epochs": 0}
TRUTH = {
    "auprc": 0.46,
    "random_auprc": 0.04,
    "n_true": 21,
    "n_possible": 500,
    "mask": {"precision": 0.42, "recall": 0.7, "f1": 0.5},
}


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Return the path of a whole report, its page read, and the page's source."""
    folder = tmp_path_factory.mktemp("report")
    evaluation = with_summary(
        with_screen(example(n_perturbed=7, n_extended=2, n_genes=10, epochs=12)), truth=TRUTH
    )
    path = write_report(folder, evaluation)
    source = path.read_text(encoding="utf-8")
    return path, Page(source), source


@pytest.fixture(scope="session")
def written_twice(tmp_path_factory):
    """Return two reports of one evaluation without quality; files lay in the second folder."""
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    (second / "plots").mkdir()
    for name in ("quality", "mine"):
        (second / "plots" / f"{name}.png").write_bytes(b"of an earlier report")
    evaluation = with_summary(example(**TINY), quality=None)
    return write_report(first, evaluation), write_report(second, evaluation)


def test_every_section_is_there_with_its_heading_and_a_link(written):
    page = written[1]
    anchors = [*SECTIONS[:-2], "screen", *SECTIONS[-2:]]
    assert [kept["id"] for tag, kept in page.tags if tag == "section"] == anchors
    assert sum(tag == "h1" for tag, _ in page.tags) == 1
    links = {kept["href"] for tag, kept in page.tags if tag == "a"}
    assert links == {f"#{anchor}" for anchor in anchors[1:]}


@pytest.mark.parametrize(
    "words",
    [
        "Better than the global mean, but worse than the training mean.",
        "the model beats the training mean in",
        "Edges of a gene to itself are not counted.",
        "Indirect effects count as well, so this is not the share of edges that are correct.",
        "42 % of the edges are correct (precision)",
        "Missed perturbations, worst first",
        "Probability sum:",
        "Predictive IWELBO",
        "Known networks",
        "15 of 18 guides work; 2 do nothing although others of their gene work; 1 disagrees with",
        "Of 4 kinds of control cells, NT-1 differs from the others.",
        "false omission rate",
        "gpo-vae evaluate --workdir=runs/example --networks STRING=string:links.txt,info.txt",
    ],
)
def test_the_page_says_what_matters(written, words):
    assert words in written[1].words


def test_the_page_refers_to_nothing_but_itself(written):
    _, page, source = written
    assert all(reference.startswith("#") for reference in page.references)
    assert {reference[1:] for reference in page.references} <= set(page.ids)
    assert "http" not in source
    assert "@import" not in source
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}


def test_ids_are_unique_and_drawings_have_words(written):
    page = written[1]
    assert len(set(page.ids)) == len(page.ids)
    drawings = [kept for tag, kept in page.tags if kept.get("class") == "plot"]
    assert len(drawings) > 20
    assert all(kept["role"] == "img" and len(kept["aria-label"]) > 20 for kept in drawings)
    assert sum(tag == "figcaption" for tag, _ in page.tags) >= 5
    assert all(kept.get("alt") for tag, kept in page.tags if tag == "img")


def test_tables_scroll_within_their_own_frames(written):
    page = written[1]
    assert page.parents["table"] == {"div.scroll"}


def test_training_and_method_fold_on_phones(written):
    page, source = written[1:]
    folded = [kept.get("class") for tag, kept in page.tags].count("folds")
    assert folded == 3  # with the definitions of the metrics
    assert re.search(r"max-width: 640px\) \{[^}]*\}?[^@]*details:not\(\[open\]\) \+ div", source)


def test_plots_are_whole_images_at_two_pixels_to_one(written):
    folder = written[0].parent / "plots"
    files = sorted(file.name for file in folder.iterdir())
    of_held_out = {"unseen", "unseen_each"}  # tests/runs/test_held_out.py
    assert files == sorted(f"{name}.png" for name in set(PLOTS) - of_held_out)
    for file in folder.iterdir():
        image = imread(file)
        assert min(image.shape[:2]) >= 300
        assert image[..., :3].std() > 0.01  # something is drawn
        np.testing.assert_array_equal(image[0, 0], 1.0)  # on white


def test_drawings_are_well_formed_and_take_their_colours_from_the_page(written):
    source = written[2]
    drawings = re.findall(r"<svg.*?</svg>", source, re.DOTALL)
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", "".join(drawings))
    style = source.partition("</style>")[0]
    for name, code in COLOURS.items():
        assert f"--{name}: {code}" in style
        assert len(re.findall(rf"--{name}: #", style)) == 3  # light, dark, print


def test_the_same_evaluation_gives_the_same_bytes(written_twice):
    first, second = written_twice
    assert first.read_bytes() == second.read_bytes()
    for file in (first.parent / "plots").iterdir():
        assert file.read_bytes() == (second.parent / "plots" / file.name).read_bytes()


def test_plots_that_a_later_report_lacks_are_removed(written_twice):
    folder = written_twice[1].parent
    assert not (folder / "plots" / "quality.png").exists()
    assert (folder / "plots" / "metrics.png").exists()
    assert (folder / "plots" / "mine.png").exists()
    assert not [file for file in folder.rglob("*.part")]


def test_two_thousand_perturbations_stay_below_three_megabytes():
    evaluation = example(n_perturbed=2000, n_extended=3, n_genes=8, epochs=0)
    source = document(evaluation, report_sections(evaluation))
    assert 100_000 < len(source.encode()) < 3_000_000
    Page(source)
