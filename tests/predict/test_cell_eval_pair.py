"""Predicted and real test cells for cell-eval, and the controls that lend their latents."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.evaluate.effects.profile_scores import SCORES, profile_scores
from gpo_vae_jax.model.trained import Member, Trained
from gpo_vae_jax.predict.cell_eval_pair import PAIR_RECORD, cell_eval_pair
from gpo_vae_jax.predict.lent_cells import lenders_of, lent_cells
from gpo_vae_jax.spec import Spec
from tests import builders
from tests.evaluate.effects.test_model_effects import GENES, make

CONTROL = "non-targeting"


def trained_on(dataset, **model):
    config = builders.configure(model)
    params = builders.make_params(np.random.default_rng(0), Spec.of(config, dataset.sizes))
    member = Member(0, params, 1.0, 0, 1, pd.DataFrame())
    description = {"data": {"fingerprint": "f"}}
    return Trained(config, dataset.sizes, dataset.treatments, dataset.genes, (member,), description)


def relabelled(dataset, **change):
    """Return the data with labels of splits changed by functions of the label."""
    labels = dict(dataset.labels)
    for split, function in change.items():
        labels[split] = np.array([function(str(one)) for one in labels[split]])
    return dataclasses.replace(dataset, labels=labels)


@pytest.fixture(scope="module")
def pair():
    dataset = make()
    return dataset, cell_eval_pair(trained_on(dataset), dataset, seed=3)


def test_both_files_have_the_same_perturbations_genes_and_numbers_of_cells(pair):
    dataset, made = pair
    real, predicted = made.real.obs["target_gene"], made.predicted.obs["target_gene"]
    assert list(real) == list(dataset.labels["test"])
    assert dict(real.value_counts()) == dict(predicted.value_counts())
    assert set(real) == {"A", "B", "7", "A+B", CONTROL} and made.control == CONTROL
    assert list(made.real.var_names) == list(made.predicted.var_names) == GENES
    assert list(made.real.obs_names) == [str(name) for name in dataset.cells["test"]]
    assert made.predicted.obs_names.is_unique and made.notes == ()


def test_both_are_scaled_to_the_median_training_library(pair):
    dataset, made = pair
    median = np.median(dataset.splits["train"].cells.library_size)
    assert made.target_sum == median == made.real.uns[PAIR_RECORD]["target_sum"]
    for cells in (made.real, made.predicted):
        total = np.expm1(cells.X.toarray().astype(float)).sum(1)
        np.testing.assert_allclose(total, median, rtol=1e-5)
    counts = np.asarray(dataset.splits["test"].cells.counts, float)
    expected = np.log1p(counts * median / counts.sum(1, keepdims=True))
    np.testing.assert_allclose(made.real.X.toarray(), expected, rtol=1e-6)


def test_the_seed_decides_and_test_cells_do_not(pair):
    dataset, made = pair
    trained = trained_on(dataset)
    again = cell_eval_pair(trained, dataset, seed=3, memory_gib=1e-6)
    np.testing.assert_array_equal(again.predicted.X.toarray(), made.predicted.X.toarray())
    other = cell_eval_pair(trained, dataset, seed=4)
    assert (other.predicted.X != made.predicted.X).nnz
    split = dataset.splits["test"]
    counts = np.asarray(split.cells.counts)[::-1] + 5
    cells = split.cells._replace(counts=counts, library_size=counts.sum(1))
    splits = {**dataset.splits, "test": split._replace(cells=cells)}
    changed = cell_eval_pair(trained, dataclasses.replace(dataset, splits=splits), seed=3)
    np.testing.assert_array_equal(changed.predicted.X.toarray(), made.predicted.X.toarray())
    assert (changed.real.X != made.real.X).nnz


def test_library_sizes_are_those_of_controls_near_the_perturbations_training_cells():
    dataset = make()
    train = dataset.splits["train"]
    label = np.asarray(dataset.labels["train"], str)
    size = np.asarray(train.cells.library_size, float).copy()
    controls = np.flatnonzero(label == CONTROL)
    size[controls] = 100 * np.arange(1, len(controls) + 1)
    size[label == "A"] = 310
    splits = {
        **dataset.splits,
        "train": train._replace(cells=train.cells._replace(library_size=size)),
    }
    changed = dataclasses.replace(dataset, splits=splits)
    groups, n = [("A",), (), ("G9",)], [5, len(controls), 2 * len(controls)]
    rows = lenders_of(changed, groups, n, seed=0)
    of_a, of_control, unseen = np.split(rows, np.cumsum(n)[:-1])
    assert (size[of_a] == 300).all()
    assert sorted(of_control) == list(controls)
    assert sorted(unseen) == sorted([*controls, *controls])  # each lends as often
    alone = lenders_of(changed, groups[:1], [5], seed=0)
    np.testing.assert_array_equal(alone, of_a)


@pytest.mark.parametrize("model", [{}, builders.PROPAGATED, {"likelihood_key": "normal"}])
def test_every_kind_of_model_lends_cells(model):
    dataset = make()
    trained = trained_on(dataset, **model)
    groups, n = [("A",), ("G9",), ("A", "B"), ()], [5, 3, 0, 4]
    values, rows = lent_cells(trained.params, dataset, groups, n, spec=trained.spec)
    assert values.shape == (12, len(GENES)) and np.isfinite(values).all() and len(rows) == 12
    assert set(np.asarray(dataset.labels["train"])[rows]) == {CONTROL}


def test_a_knocked_down_gene_falls_by_its_effect_where_the_perturbation_acts():
    dataset = make()
    trained = trained_on(dataset, **builders.PROPAGATED, escape_prior=0.4)
    treatment, gene, n = dataset.treatments.index("A"), GENES.index("A"), 2000
    guide, decoder = dict(trained.params["guide"]), dict(trained.params["decoder"])
    for name, value in (("embedding_mean", -2.0), ("embedding_log_variance", -12.0)):
        guide[name] = np.asarray(guide[name]).copy()
        guide[name][treatment, treatment] = value
    logits = np.full_like(np.asarray(decoder["efficacy"]["logits"]), np.log(0.6 / 0.4))
    decoder["efficacy"] = {**decoder["efficacy"], "logits": logits}
    params = {**trained.params, "guide": guide, "decoder": decoder}
    values, _ = lent_cells(params, dataset, [("A",), ()], [n, n], spec=trained.spec)
    share = values[:n, gene].mean() / values[n:, gene].mean()
    fall = np.exp(4 * np.tanh(-2 / 4))  # 2 in natural logarithms, limited softly
    total = values[n:].sum(1).mean()
    own = values[n:, gene].mean() / total
    acting = fall / (1 - own + own * fall)  # if nothing else changed, counts add up to the library
    assert share == pytest.approx(0.4 + 0.6 * acting, abs=0.12)


def test_perturbations_without_training_cells_are_predicted_with_a_note():
    dataset = relabelled(make(), train=lambda one: CONTROL if one == "B" else one)
    dataset = relabelled(dataset, val=lambda one: CONTROL if one == "B" else one)
    made = cell_eval_pair(trained_on(dataset), dataset)
    assert "B" in set(made.predicted.obs["target_gene"])
    assert made.notes == ("1 of 4: observed, but not in training cells (B)",)
    of_b = made.predicted.obs["target_gene"] == "B"
    assert (made.predicted.obs.loc[of_b, "kind"] == "observed, but not in training cells").all()


def test_perturbations_without_test_cells_are_left_out_with_a_note():
    dataset = relabelled(make(), test=lambda one: "A" if one == "7" else one)
    made = cell_eval_pair(trained_on(dataset), dataset)
    assert set(made.predicted.obs["target_gene"]) == {"A", "B", "A+B", CONTROL}
    assert made.notes == ("left out, without test cells: 1 (7)",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"test": lambda one: CONTROL}, "no test cell is perturbed"),
        ({"test": lambda one: "A" if one == CONTROL else one}, "no test cells of the control"),
        ({"train": lambda one: "A" if one == CONTROL else one}, "no control cells in training"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, says):
    dataset = relabelled(make(), **change)
    with pytest.raises(DataError, match=says):
        cell_eval_pair(trained_on(dataset), dataset)


def test_scores_against_plain_loops(pair):
    _, made = pair
    table = profile_scores(made.predicted, made.real, CONTROL)
    assert list(table.columns) == ["perturbation", *SCORES]
    assert list(table["perturbation"]) == ["7", "A", "A+B", "B"]
    mean = {}
    for which, cells in (("p", made.predicted), ("r", made.real)):
        for name in (*table["perturbation"], CONTROL):
            rows = (cells.obs["target_gene"] == name).to_numpy()
            mean[which, name] = cells.X.toarray()[rows].astype(float).mean(0)
    for row in table.itertuples():
        p, r = mean["p", row.perturbation], mean["r", row.perturbation]
        dp, dr = p - mean["p", CONTROL], r - mean["r", CONTROL]
        assert row.pearson_delta == pytest.approx(np.corrcoef(dp, dr)[0, 1])
        assert row.mse == pytest.approx(((p - r) ** 2).mean())
        assert row.mae == pytest.approx(abs(p - r).mean())
        assert row.mse_delta == pytest.approx(((dp - dr) ** 2).mean())
        assert row.mae_delta == pytest.approx(abs(dp - dr).mean())


def test_scores_refuse_what_does_not_fit_together(pair):
    _, made = pair
    real, predicted = made.real, made.predicted
    with pytest.raises(DataError, match="differ in their genes"):
        profile_scores(predicted[:, ::-1], real, CONTROL)
    with pytest.raises(DataError, match=r"differ in perturbations: A$"):
        profile_scores(predicted[predicted.obs["target_gene"] != "A"], real, CONTROL)
    with pytest.raises(DataError, match="has no control 'ctrl'"):
        profile_scores(predicted, real, "ctrl")
    with pytest.raises(DataError, match="no column 'gene'"):
        profile_scores(predicted, real, CONTROL, key="gene")
