"""The baselines: plain definitions, and what was recorded on real data."""

import json

import numpy as np
import pytest

from gpo_vae_jax import data
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effects import baselines, model_effects
from gpo_vae_jax.evaluate.effects import observed_effects as data_effects
from gpo_vae_jax.evaluate.results import Effects
from tests.evaluate.effects.test_model_effects import make

KEYS = {"pearson": "r", "r2": "r2", "pearson_top": "r_top", "r2_top": "r2_top"}
KEYS |= {"jaccard_20": "jaccard"}


def test_halves_are_the_training_cells_of_each_label():
    dataset = make()
    labels = data_effects.perturbations_of(dataset)
    first, second = baselines.halves_of(dataset, labels, 0)
    train = data_effects.split_sums(dataset, "train", labels)
    whole = first + second
    np.testing.assert_array_equal(whole.n_cells, train.n_cells)
    np.testing.assert_allclose(whole.sums["mean"], train.sums["mean"])
    assert set(first.n_cells - second.n_cells) <= {0, 1}
    other, _ = baselines.halves_of(dataset, labels, 1)
    assert (other.sums["mean"] != first.sums["mean"]).any()


def test_halves_follow_names_not_rows():
    shuffled = make(order=np.random.default_rng(3).permutation(120))
    labels = data_effects.perturbations_of(shuffled)
    for ours, theirs in zip(
        baselines.halves_of(make(), labels, 0),
        baselines.halves_of(shuffled, labels, 0),
        strict=True,
    ):
        np.testing.assert_allclose(ours.sums["perturbseq"], theirs.sums["perturbseq"])


def test_global_mean_counts_perturbations_once():
    train = np.array([[1.0, 2], [3, 6], [np.nan, np.nan]])
    np.testing.assert_array_equal(baselines.global_mean(train), [[2, 4]] * 3)
    assert np.isnan(baselines.global_mean(train[2:])).all()


def test_recorded_baselines_of_real_data(shared):
    """All cells, whatever their quality; against test cells, on the scale of `perturbseq`."""
    recorded = json.loads(shared("reference_runs/schraivogel.json").read_text())["baselines"]
    with np.load(shared("reference_runs/schraivogel_prepared.npz")) as z:
        n = z["X"].shape[0]
        dataset = data.from_arrays(
            counts=z["X"],
            dosage=z["D"],
            qc_fail=z["qc"],
            counterfactual=np.zeros(z["X"].shape, np.uint8),
            delta=np.zeros((n, len(z["T"]))),
            split=z["split"],
            treatments=list(z["T"]),
            n_perturbed=int(z["n_perturbed"]),
            genes=list(z["var"]),
            cell_labels=z["gene"],
        )
    labels = data_effects.perturbations_of(dataset)
    halves = baselines.halves_of(dataset, labels, 0)
    train = data_effects.effects_of(halves[0] + halves[1])
    test = data_effects.effects_of(data_effects.split_sums(dataset, "test", labels))
    errors = data_effects.standard_errors_of(data_effects.split_sums(dataset, "test", labels))
    table = Effects(
        labels, dataset.genes, train, train, test, test, train,
        n_cells={"train": (halves[0] + halves[1]).n_cells[:-1]},
        observed_errors={"reference": errors, "held_out": errors},
    )  # fmt: skip
    found = model_effects.metrics_of(table, baselines.ceiling(halves), EvaluateConfig())
    found = found["perturbseq"]["held_out"]
    for ours, theirs in (("train_mean", "train_mean"), ("global_mean", "global_train_mean")):
        for key, name in KEYS.items():
            assert found[ours][key] == pytest.approx(recorded[theirs][name], rel=1e-4), (ours, key)
    for key, name in KEYS.items():  # other random halves
        assert found["ceiling"][key] == pytest.approx(
            recorded["ceiling_half_vs_half"][name], abs=0.06
        )


def test_single_effects_add_up():
    effects = np.array([[1.0, 2], [10, 20], [np.nan] * 2, [5, 5]])
    groups = [("A",), ("B",), ("A", "B"), ("A", "C")]
    summed = baselines.additive(effects, groups)
    np.testing.assert_array_equal(summed[2:], [[11, 22], [1, 2]])
    np.testing.assert_array_equal(summed[:2], effects[:2])
    unseen = baselines.additive(np.array([[np.nan] * 2, [1.0, 1]]), [("C",), ("B",)])
    assert np.isnan(unseen[0]).all()


def test_the_knock_down_alone_scales_the_own_gene():
    """Gene A loses three quarters in its own training cells; so does B, which none perturbs."""
    counts = np.array([[8, 4, 88], [8, 4, 88], [2, 4, 94], [8, 1, 91]] * 3, np.int32)
    dosage = np.array([[0, 0], [0, 0], [1, 0], [0, 1]] * 3, float)
    split = np.array(["train"] * 4 + ["val"] * 4 + ["test"] * 4)
    split[3] = "test"
    dataset = data.from_arrays(
        counts=counts,
        dosage=dosage,
        qc_fail=np.zeros(12),
        counterfactual=np.zeros_like(counts),
        delta=np.zeros((12, 2)),
        split=split,
        treatments=["A", "B"],
        n_perturbed=2,
        genes=["A", "B", "C"],
    )
    labels = data_effects.perturbations_of(dataset)
    assert labels == ("A", "B")
    train = data_effects.split_sums(dataset, "train", labels)
    found = baselines.knockdown_only(dataset, labels, train)
    np.testing.assert_allclose(found["mean"], [[-6, 0, 0], [0, -3, 0]])
    own = [np.log2(1 + 200) - np.log2(1 + 800), np.log2(1 + 100) - np.log2(1 + 400)]
    np.testing.assert_allclose(found["perturbseq"], [[own[0], 0, 0], [0, own[1], 0]])
