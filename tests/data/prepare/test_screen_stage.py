"""The stage that checks guides and controls: notes, the record, and what a Dataset knows of it."""

import json
import math

import numpy as np
import pytest

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import from_anndata, prepare
from gpo_vae_jax.data.prepare.screen_stage import check_screen, control_notes, guide_notes
from gpo_vae_jax.data.prepare.stage_log import Log
from gpo_vae_jax.data.prepared.screen_rows import read_screen, rows_text
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.types import ScreenQuality
from tests.data.prepare.simulated_guides import guide_screen


def guide_row(guide, verdict, others_work=0):
    row = {"gene": guide.split("_")[0], "guide": guide, "verdict": verdict}
    return row | {"others_work": others_work}


def test_notes_name_the_guides_and_what_they_do():
    rows = [
        guide_row("A_1", "works", 1),
        guide_row("A_2", "no effect", 2),
        guide_row("B_1", "disagrees", 1),
        guide_row("B_2", "disagrees", 1),
        guide_row("C_1", "no effect"),
        guide_row("C_2", "no effect"),
        guide_row("D_1", "too few cells"),
    ]
    assert guide_notes(rows) == [
        "1 of 6 guides does nothing, though others of their gene work: A_2",
        "2 of 6 guides do something else than the others of their gene: B_1, B_2",
        "no guide of 1 gene changes the expression of any gene: C",
    ]
    assert guide_notes(rows[:1]) == []


def test_the_note_on_controls_says_how_to_leave_them_out():
    odd = {"kind": "NT-2", "genes_changed": 7, "verdict": "stands out"}
    (note,) = control_notes([odd, {"kind": "NT-1", "genes_changed": 0, "verdict": "alike"}])
    assert note.startswith("1 of 2 kinds of control cells differ from the others: NT-2 (7 genes)")
    assert "config.prepare.control" in note
    assert "config.prepare.join_controls=False" in note
    assert control_notes([odd | {"verdict": "alike"}]) == []


def with_odd_controls():
    """Return arguments of check_screen: a third of the controls changes 8 genes, as no other."""
    counts, genes, guide, target, is_control = guide_screen(0, 60, n_targets=4, downstream=30)
    guide = guide.copy()
    guide[is_control] = [f"NT-{i % 3}" for i in range(is_control.sum())]
    counts = counts.toarray()
    often = np.argsort(-counts.sum(axis=0))[:8]
    counts[np.ix_(guide == "NT-2", often)] *= 4
    return counts, genes, guide, target, is_control


def test_guides_are_compared_with_the_controls_that_are_alike():
    said = []
    log = Log(said.append)
    record = check_screen(*with_odd_controls(), log)
    screen = read_screen(record)
    kinds = {row["kind"]: row["verdict"] for row in screen.control_kinds}
    assert kinds == {"NT-0": "alike", "NT-1": "alike", "NT-2": "stands out"}
    found = {row["guide"]: row["verdict"] for row in screen.guides}
    dead = sorted(guide for guide in found if "dead" in guide)
    assert [found[guide] for guide in dead] == ["no effect"] * 4  # those 8 genes are not theirs
    assert said[0] == "guides and controls"
    assert (
        f"note: 4 of 12 guides do nothing, though others of their gene work: {', '.join(dead)}"
        in said
    )
    stage = {"guides": 12, "no_effect": 4, "works": 8, "control_kinds": 3}
    assert log.stages == [{"stage": "guides and controls", **stage}]


def test_a_screen_without_guides_is_not_checked():
    counts, genes, guide, target, is_control = guide_screen(0, 20, n_targets=2)
    log = Log(lambda said: None)
    assert check_screen(counts, genes, np.full(len(guide), ""), target, is_control, log) == {}
    assert check_screen(counts, genes, None, target, is_control, log) == {}
    unknown = np.where(is_control, "", "unknown")  # cells without a label that were kept
    assert check_screen(counts, genes, guide, unknown, is_control, log) == {}
    assert log.stages == log.notes == []
    record = check_screen(counts, genes, guide, target, is_control, log)
    assert list(record) == ["guides"]  # one kind of controls


def test_rows_survive_the_record():
    rows = [{"gene": "A", "guide": "A_1", "share": math.nan, "p": 1 / 3, "n": 3, "verdict": "x"}]
    text = rows_text(rows)
    assert json.loads(text)[0]["share"] is None
    (row,) = read_screen({"guides": text}).guides
    assert math.isnan(row.pop("share"))
    assert row == {"gene": "A", "guide": "A_1", "p": 0.333333, "n": 3, "verdict": "x"}
    assert read_screen({}) == ScreenQuality()


@pytest.mark.parametrize("text", ["", "{", "3", "null", '{"a": 1}', "[1]", '[{"guide": "A"}]'])
def test_a_damaged_entry_is_named(text):
    with pytest.raises(DataError, match=r"uns\['gpo_vae'\]\['guides'\] is not a JSON list of rows"):
        read_screen({"guides": text})


def test_a_prepared_screen_knows_its_guides(guided):
    prepared = prepare(guided, PrepareConfig(extended_genes="none", matching="hpm"))
    dataset = from_anndata(prepared)
    assert len(dataset.screen.guides) == 6
    assert {row["gene"] for row in dataset.screen.guides} == {"G1", "G2"}
    assert [row["kind"] for row in dataset.screen.control_kinds] == ["NT-0", "NT-1"]
    assert "guides and controls" in prepared.uns["gpo_vae"]["stages"]
    del prepared.uns["gpo_vae"]["guides"], prepared.uns["gpo_vae"]["control_kinds"]
    assert from_anndata(prepared).screen == ScreenQuality()


@pytest.fixture
def guided():
    """Return a raw screen with a column of guides: 2 genes with 3 guides, 2 kinds of controls."""
    import anndata
    import pandas as pd

    rng = np.random.default_rng(0)
    label = np.repeat(["non-targeting", "G1", "G2"], [80, 60, 60])
    guide = [
        f"NT-{i % 2}" if name == "non-targeting" else f"{name}_{i % 3}"
        for i, name in enumerate(label)
    ]
    obs = pd.DataFrame({"perturbation": label, "guide": guide}, index=[f"c{i}" for i in range(200)])
    genes = pd.DataFrame(index=[f"G{i}" for i in range(30)])
    return anndata.AnnData(rng.poisson(3.0, (200, 30)).astype(np.float32), obs, genes)
