"""Control cells under many labels."""

import re
import time

import pytest

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data.prepare.raw.control_labels import alike, family_of, find_controls, matches
from gpo_vae_jax.errors import DataError
from tests.data.prepare.raw.screens import (
    CONTROL,
    GENES,
    labels,
    notes,
    of_genes,
    prepared,
    relabelled,
    screen,
    sizes,
)

FAMILIES = {
    "non-targeting": "non-targeting non_targeting_00012 nontargeting non-targeting|x|y no-target "
    "NO_TARGET-3 non-targeting-1|non-targeting-2",
    "NT": "NT NT-3 NTC NTC_12 sgNT sgNTC-2 NT_g4 nt1",
    "safe-targeting": "safe-targeting safe_targeting_3 SAFE_1 sgSAFE-2 safe_harbor_1",
    "intergenic": "p_INTERGENIC393453 INTERGENIC216151 intergenic_4 ONE_INTERGENIC_SITE_4",
    "no site": "NO_SITE_7 no-site",
    "negative control": "m_NegCtrl3 NegCtrl0 negative_control_3 NegCtrl0_NegCtrl1",
    "control": "ctrl control CTRL0001 control_5 sgControl-2",
    "scrambled": "scramble scrambled_2 SCR1",
    "unperturbed": "unperturbed non-perturbed no_perturbation",
}


@pytest.mark.parametrize(
    ("family", "label"),
    [(family, label) for family, text in FAMILIES.items() for label in text.split()],
)
def test_labels_of_a_family_are_known(family, label):
    assert family_of(label) == family


@pytest.mark.parametrize(
    "label",
    [
        *("GATA1", "NT5C", "NT5E", "NTRK1", "SCRIB", "SAFB", "NOTCH1", "NTF3", "CTLA4", "UNC13A"),
        *("SCN1A", "NEGR1", "NO66", "CONTROLLER1", "nan"),
        *("non-targeting_GATA1", "ctrl_GATA1", "NT-1+GATA1"),
    ],
)
def test_genes_and_combinations_are_no_controls(label):
    assert family_of(label, set(GENES)) == ""


def test_a_measured_gene_is_never_taken_for_a_control():
    assert family_of("CTRL") == "control" and family_of("CTRL", {"CTRL"}) == ""


def test_long_labels_take_no_time():
    start = time.process_time()
    family_of("NT" + "-1" * 5000 + "x"), family_of("_".join(["NT-1"] * 5000))
    assert time.process_time() - start < 5  # exponential matching would take for ever


@pytest.mark.parametrize(
    "label",
    [
        *("AAVS1", "DMSO", "mock", "EGFP", "LacZ", "vehicle", "GFP_2", "ROSA26", "luciferase"),
        *("wt", "none", "untreated"),
    ],
)
def test_what_may_be_a_control_is_only_proposed(label):
    assert alike([label, "GATA1"]) == [label] and family_of(label) == ""


def test_patterns_match_whole_labels():
    assert matches("NT-12", "NT-*") and not matches("xNT-1", "NT-*") and not matches("nt-1", "NT-*")
    assert matches(" ctrl ", "ctrl") and matches("A[1]", "A[1]")


def test_one_named_label_brings_its_family():
    found = find_controls({"NT-1", "NT-2", "safe-1", "DMSO_1", "A"}, {"A"}, named("NT-1"))
    assert found.labels == {"NT-1", "NT-2", "safe-1"} and found.name == "NT-1"
    alone = find_controls({"NT-1", "NT-2", "A"}, {"A"}, named("NT-1", join_controls=False))
    assert alone.labels == {"NT-1"} and alone.said == ""
    drugs = find_controls({"DMSO_1", "DMSO_2", "EGFP", "A"}, {"A"}, named("DMSO_1"))
    assert drugs.labels == {"DMSO_1", "DMSO_2"}


def named(*control, **settings):
    return PrepareConfig(control=control[0], more_controls=control[1:], **settings)


def test_the_name_of_controls_is_theirs_if_they_have_one():
    assert find_controls({"NT-1", "NT-2"}, (), named("NT-*")).name == "control"
    assert find_controls({"NT-1", "A"}, (), named("NT-*")).name == "NT-1"
    assert find_controls({"NT-1", "A"}, (), named("NT-1", "x")).name == "NT-1"
    assert not find_controls({"A"}, (), named("NT-*")).labels


def test_four_guides_of_the_control_are_all_controls_in_the_file():
    raw = screen()
    before = sizes(raw)
    raw = relabelled(lambda x, i: f"NT-{i % 4 + 1}" if x == CONTROL else x, raw)
    one = prepared(raw.copy(), control="NT-1")
    assert labels(one)["NT-1"] == before[CONTROL]
    assert "NT (3 labels: NT-2, NT-3, NT-4) are controls too" in notes(one)
    by_pattern = prepared(raw.copy(), control="NT-*")
    assert labels(by_pattern)["control"] == before[CONTROL]
    assert by_pattern.uns["gpo_vae"]["control"] == "control"
    listed = prepared(raw.copy(), control="NT-1", more_controls=("NT-3",), join_controls=False,
                      unmeasured="drop")  # fmt: skip
    assert labels(listed)["NT-1"] == sum(raw.obs["perturbation"].isin(["NT-1", "NT-3"]))
    assert "are left out: measured genes" in notes(listed) and "NT-2" in notes(listed)


def test_original_labels_are_kept():
    result = prepared(relabelled(lambda x, i: f"NT-{i % 4}" if x == CONTROL else x), control="NT-0")
    control = result.obs["perturbation"] == "NT-0"
    assert set(result.obs["raw_perturbation"][control]) == {"NT-0", "NT-1", "NT-2", "NT-3"}
    assert (result.obs["raw_perturbation"] == result.obs["perturbation"])[~control].all()


def test_controls_of_three_families_are_found_without_a_setting():
    kinds = ("INTERGENIC216151", "safe-targeting", "NegCtrl0")
    raw = screen()
    n = sizes(raw)[CONTROL]
    result = prepared(relabelled(lambda x, i: kinds[i % 3] if x == CONTROL else x, raw))
    assert labels(result)["control"] == n and result.n_obs == raw.n_obs
    assert "INTERGENIC216151, NegCtrl0, safe-targeting" in notes(result)


def test_what_looks_like_a_control_is_named_in_the_error():
    with pytest.raises(DataError, match=re.escape("labels that look like one: AAVS1; ")) as caught:
        prepared(relabelled(lambda x, i: "AAVS1" if x == CONTROL else x))
    assert "config.prepare.control=LABEL" in str(caught.value)


def test_blanks_around_labels_do_not_matter():
    raw = screen()
    before = sizes(raw)
    raw = relabelled(lambda x, i: " ctrl " if x == CONTROL else f"{x}+ctrl ", raw, "condition")
    found = labels(prepared(raw))
    assert found == {("ctrl" if k == CONTROL else k): n for k, n in before.items()}


def test_combinations_with_a_control_are_the_other_gene():
    raw = screen()
    before = sizes(raw)
    change = of_genes(lambda x, i: f"{x}_sg{i % 2}|NT-{i % 3}")
    found = labels(prepared(relabelled(change, raw)))
    assert found == before
