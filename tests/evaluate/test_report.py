"""The page: complete, honest, safe whatever the names and whatever is missing."""

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from gpo_vae_jax.evaluate.network.edges import ranked_edges
from gpo_vae_jax.evaluate.report import write_report
from gpo_vae_jax.evaluate.report.look import COLOURS
from gpo_vae_jax.evaluate.report.page import PLOTS, document, report_sections
from tests.evaluate.report_example import example, with_summary
from tests.evaluate.report_reader import SECTIONS, Page, page_of

TINY = {"n_perturbed": 2, "n_extended": 1, "n_genes": 5, "epochs": 0}
NASTY = '<script>alert("x")</script> & $\\frac{1}{0}$ -->\n' + "LONG" * 30


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    truth = {"auprc": 0.46, "random_auprc": 0.04, "n_true": 21, "mask": {"f1": 0.5}}
    path = write_report(folder, with_summary(example(n_perturbed=5, n_extended=2), truth=truth))
    return path, Page(path.read_text(encoding="utf-8"))


def test_every_section_is_there_with_its_heading_and_a_link(written):
    _, page = written
    found = [kept["id"] for tag, kept in page.tags if tag == "section"]
    assert found == SECTIONS
    assert sum(tag == "h1" for tag, _ in page.tags) == 1
    links = {kept["href"] for tag, kept in page.tags if tag == "a"}
    assert links == {f"#{anchor}" for anchor in SECTIONS[1:]}
    for words in (
        "Predictive IWELBO",
        "Known networks",
        "false omission rate",
        "F1, called edges",
    ):
        assert words in page.words


def test_the_page_refers_to_nothing_but_itself(written):
    path, page = written
    source = path.read_text(encoding="utf-8")
    assert all(reference.startswith("#") for reference in page.references)
    assert {reference[1:] for reference in page.references} <= set(page.ids)
    assert "http" not in source and "@import" not in source
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}


def test_ids_are_unique_and_drawings_have_words(written):
    _, page = written
    assert len(set(page.ids)) == len(page.ids)
    drawings = [kept for tag, kept in page.tags if kept.get("class") == "plot"]
    assert len(drawings) > 20
    assert all(kept["role"] == "img" and len(kept["aria-label"]) > 20 for kept in drawings)
    assert sum(tag == "figcaption" for tag, _ in page.tags) >= 7
    assert all(kept.get("alt") for tag, kept in page.tags if tag == "img")


def test_plots_are_whole_images_at_two_pixels_to_one(written):
    path, _ = written
    files = sorted(file.name for file in (path.parent / "plots").iterdir())
    assert files == sorted(f"{name}.png" for name in PLOTS)
    for file in (path.parent / "plots").iterdir():
        image = imread(file)
        assert min(image.shape[:2]) >= 300
        assert image[..., :3].std() > 0.01  # something is drawn
        np.testing.assert_array_equal(image[0, 0], 1.0)  # on white


def test_drawings_take_their_colours_from_the_page(written):
    path, _ = written
    source = path.read_text(encoding="utf-8")
    drawn = "".join(re.findall(r"<svg.*?</svg>", source, re.DOTALL))
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", drawn)
    style = source.partition("</style>")[0]
    for name, code in COLOURS.items():
        assert f"--{name}: {code}" in style
        assert len(re.findall(rf"--{name}: #", style)) == 3  # light, dark, print


def test_the_same_evaluation_gives_the_same_bytes(tmp_path):
    first, second = (write_report(tmp_path / name, example(**TINY)) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    for file in (first.parent / "plots").iterdir():
        assert file.read_bytes() == (second.parent / "plots" / file.name).read_bytes()


def test_plots_that_a_later_report_lacks_are_removed(tmp_path):
    evaluation = example(**TINY)
    write_report(tmp_path, evaluation)
    mine = tmp_path / "plots" / "mine.png"
    mine.write_bytes(b"kept")
    write_report(tmp_path, with_summary(evaluation, quality=None))
    assert not (tmp_path / "plots" / "quality.png").exists()
    assert (tmp_path / "plots" / "metrics.png").exists() and mine.exists()
    assert not [file for file in tmp_path.rglob("*.part")]


@pytest.mark.parametrize("best, kind", [("train_mean", "Below"), ("model", "Above")])
def test_the_verdict_says_plainly_which_predicts_better(best, kind):
    page = page_of(example(best=best, **TINY))
    assert f"{kind} the baseline." in page.words
    assert f"verdict {kind.lower()}" in [kept.get("class") for _, kept in page.tags]


def nasty():
    evaluation = example(n_perturbed=4, n_extended=1, n_genes=9, epochs=0, name=NASTY)
    names = tuple(f"{NASTY} {i}" for i in range(5))
    effects = dataclasses.replace(
        evaluation.effects, labels=names[:4], genes=tuple(f"{NASTY} gene {i}" for i in range(9))
    )
    summary = {**evaluation.summary, "known_networks": {NASTY: {"precision": 0.5, "n_called": 3}}}
    summary["run"] = {**summary["run"], "workdir": NASTY, "versions": {NASTY: NASTY}}
    return dataclasses.replace(
        evaluation,
        summary=summary,
        effects=effects,
        treatments=names,
        edges=ranked_edges(evaluation.probabilities, names, 4),
        regulators=pd.DataFrame({"regulator": names, NASTY: range(5)}),
    )


def test_names_cannot_break_the_page(tmp_path):
    path = write_report(tmp_path, nasty())
    page = Page(path.read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert '<script>alert("x")</script> & $\\frac{1}{0}$' in page.words
    assert "http" not in path.read_text(encoding="utf-8")


def test_two_thousand_perturbations_stay_below_three_megabytes():
    evaluation = example(n_perturbed=2000, n_extended=3, n_genes=40, epochs=0)
    source = document(evaluation, report_sections(evaluation))
    assert 100_000 < len(source.encode()) < 3_000_000
    Page(source)


def test_drawings_are_well_formed_on_their_own(written):
    path, _ = written
    for drawing in re.findall(r"<svg.*?</svg>", path.read_text(encoding="utf-8"), re.DOTALL):
        ElementTree.fromstring(drawing)
