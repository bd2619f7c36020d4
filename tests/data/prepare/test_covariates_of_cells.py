"""Batches and other categories of cells, from raw columns to the arrays of training."""

import json

import numpy as np
import pytest

from gpo_vae_jax.data import from_anndata
from gpo_vae_jax.data.prepare.matching.control_matching import match_controls
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.effects.observed_effects import effects_of, perturbations_of, split_sums
from gpo_vae_jax.statistics.pair_changes import pair_changes
from tests.data.prepare.raw.screens import CONTROL, notes, prepared, screen


def with_batches(n=400):
    adata = screen(n)
    adata.obs["lane"] = np.array(["L1", "L2"])[np.arange(n) // 2 % 2]
    adata.obs["donor"] = np.arange(n) % 3
    return adata


def test_categories_are_kept_and_read():
    result = prepared(with_batches(), batch_key="lane", covariates=("donor",))
    assert json.loads(result.uns["gpo_vae"]["covariates"]) == ["lane", "donor"]
    dataset = from_anndata(result)
    assert dataset.covariates == {"lane": ("L1", "L2"), "donor": ("0", "1", "2")}
    test = dataset.splits["test"].cells
    obs = result.obs.loc[dataset.cells["test"]]
    expected = np.stack([
        (obs["lane"] == "L2").to_numpy(int), 2 + obs["donor"].astype(int).to_numpy()
    ], axis=1)  # fmt: skip
    np.testing.assert_array_equal(test.covariates, expected)
    train = result.obs[result.obs["split"] == "train"]
    assert dataset.sizes.categories[0] == tuple((train["lane"] == f"L{i}").sum() for i in (1, 2))


def test_without_them_nothing_is_kept():
    result = prepared(with_batches())
    assert "covariates" not in result.uns["gpo_vae"]
    dataset = from_anndata(result)
    assert dataset.splits["train"].cells.covariates is None
    assert dataset.sizes.categories == ()


def test_cells_are_matched_within_their_batch():
    result = prepared(with_batches(), batch_key="lane")
    lane = result.obs["lane"].astype(str)
    matched = lane[result.obs["matched_control"].astype(str)]
    np.testing.assert_array_equal(matched.to_numpy(), lane.to_numpy())
    assert "within" in result.uns["gpo_vae"]["stages"]


def test_a_batch_without_controls_is_matched_with_all():
    expression = np.array([[0.0], [1], [0], [1], [5]])
    group, split = np.array([0, 0, 1, 1, 1]), np.array(["train"] * 5)
    batch = np.array(["a", "b", "b", "a", "c"])
    control = group == 0
    found = match_controls(expression, group, split, control, "hpm", batch)
    assert found.tolist() == [0, 1, 1, 0, 1]
    anywhere = match_controls(expression, group, split, control, "hpm")
    assert anywhere[2:4].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        (None, {"batch_key": "absent"}, r"batch_key='absent' is no obs column; there are: .*lane"),
        (None, {"covariates": ("absent",)}, r"covariates='absent' is no obs column"),
        (None, {"covariates": ("perturbation",)}, "is the column of perturbations"),
        ("missing", {"batch_key": "lane"}, r"obs\['lane'\] has no value for 3 cells"),
        ("numbers", {"covariates": ("depth",)}, r"obs\['depth'\] has numbers with fractions.*bins"),
        ("names", {"covariates": ("name",)}, r"obs\['name'\] has 600 categories in 600 cells"),
    ],
)
def test_columns_that_are_no_categories(change, settings, says):
    adata = with_batches(600)
    if change == "missing":
        adata.obs.loc[adata.obs_names[:3], "lane"] = None
    if change == "numbers":
        adata.obs["depth"] = np.linspace(0, 1, 600)
    if change == "names":
        adata.obs["name"] = [f"n{i}" for i in range(600)]
    with pytest.raises(DataError, match=says):
        prepared(adata, **settings)


def test_categories_that_say_nothing_are_noted():
    adata = with_batches()
    adata.obs["site"] = "here"
    adata.obs.loc[adata.obs["perturbation"] == "MYC", "lane"] = "L3"
    said = notes(prepared(adata, batch_key="lane", covariates=("site",)))
    assert "obs['site'] has the one category 'here', which changes nothing" in said
    assert "no control cells are in these categories of obs['lane']" in said and "L3" in said


def test_a_category_that_no_training_cell_has_is_unknown():
    adata = with_batches()
    adata.obs["split"] = np.tile(["train", "train", "train", "val", "test"], 80)
    adata.obs.loc[adata.obs["split"] == "test", "lane"] = "L9"
    result = prepared(adata, batch_key="lane")
    dataset = from_anndata(result)
    assert (dataset.splits["test"].cells.covariates == -1).all()
    labels = perturbations_of(dataset)
    within = effects_of(split_sums(dataset, "test", labels))["mean"]
    plain = from_anndata(prepared(adata))
    np.testing.assert_allclose(within, effects_of(split_sums(plain, "test", labels))["mean"])
    assert "no training cells are in these categories of obs['lane']" in notes(result)


def test_effects_are_differences_to_controls_of_the_same_batches():
    """MYC cells are in lane 2 alone, where every gene is twice as high."""
    adata = with_batches(1200)
    myc = (adata.obs["perturbation"] == "MYC").to_numpy()
    adata.obs.loc[myc, "lane"] = "L2"
    high = (adata.obs["lane"] == "L2").to_numpy()
    counts = adata.X.toarray()
    gene = adata.var_names.get_loc("GENE010")
    counts[high, gene] *= 4
    adata.X = counts
    plain, within = (from_anndata(prepared(adata.copy(), **of))
                     for of in ({}, {"batch_key": "lane"}))  # fmt: skip
    labels = perturbations_of(plain)
    at, row = plain.genes.index("GENE010"), labels.index("MYC")
    confounded, fair = (
        effects_of(split_sums(of, "train", labels))["perturbseq"][row, at] for of in (plain, within)
    )
    assert confounded > 0.6 and abs(fair) < 0.25
    by_hand = []
    train = within.splits["train"].cells
    label, lane = within.labels["train"], np.asarray(train.covariates)[:, 0]
    values = np.log2(1 + 1e4 * train.counts[:, at] / train.library_size)
    for name in (0, 1):
        mine = (label == "MYC") & (lane == name)
        if mine.any():
            control = values[(label == CONTROL) & (lane == name)].mean()
            by_hand.append((mine.sum(), values[mine].mean() - control))
    expected = sum(n * change for n, change in by_hand) / sum(n for n, _ in by_hand)
    assert fair == pytest.approx(expected, abs=1e-9)
    source, target = (within.treatments.index(name) for name in ("MYC", "KLF1"))
    change, error = pair_changes(within)
    assert np.isfinite(change[source, target]) and np.isfinite(error[source, target])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda a: a.obs.pop("lane"), r"lane"),
        (lambda a: a.obs.__setitem__("lane", [None] + ["L1"] * (a.n_obs - 1)), r"obs\['lane'\]"),
        (lambda a: a.uns["gpo_vae"].__setitem__("covariates", "lane"), r"\] is not JSON"),
        (lambda a: a.uns["gpo_vae"].__setitem__("covariates", "[1]"), r"\['covariates'\] holds 1"),
        (lambda a: a.uns["gpo_vae"].__setitem__("covariates", '{"a": 1}'), "not a list"),
    ],
    ids=["no column", "no value", "no JSON", "no text", "no list"],
)
def test_damaged_files_are_one_clear_error(damage, says):
    result = prepared(with_batches(), batch_key="lane")
    damage(result)
    with pytest.raises(DataError, match=says) as error:
        from_anndata(result)
    assert "\n" not in str(error.value)
