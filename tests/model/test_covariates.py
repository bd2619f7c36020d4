"""Covariates: terms of categories that change nothing where there are none."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax import data, presets
from gpo_vae_jax.config import SimulateConfig
from gpo_vae_jax.model import bind, init_params
from gpo_vae_jax.model.covariates import CovariateTerms
from gpo_vae_jax.objective import loss
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.training import train
from gpo_vae_jax.types import Sizes
from tests.builders import PROPAGATED, PROPAGATED_OBJECTIVE, SIZES, configure, make_case

CATEGORIES = ((3, 1), (2, 1, 1))
WITH = dataclasses.replace(SIZES, categories=CATEGORIES)


def terms(codes, table):
    """Return the terms of a table of five rows with two columns."""
    module = CovariateTerms(Spec(WITH, configure().model), 2)
    codes = None if codes is None else jnp.asarray(codes, jnp.int32)
    return module.apply({"params": {"table": jnp.asarray(table, jnp.float32)}}, codes)


def test_terms_are_rows_of_the_table():
    table = np.arange(10.0).reshape(5, 2)
    np.testing.assert_allclose(terms([[0, 2], [1, 4]], table), table[[0, 1]] + table[[2, 4]])
    mean = table[:2].T @ [0.75, 0.25], table[2:].T @ [0.5, 0.25, 0.25]
    np.testing.assert_allclose(terms(None, table), [mean[0] + mean[1]])
    np.testing.assert_allclose(
        terms([[-1, 3], [1, -1]], table), [mean[0] + table[3], table[1] + mean[1]]
    )


@pytest.mark.parametrize("effect", ["latent", "propagated"])
def test_without_covariates_the_parameters_are_what_they_were(effect):
    config = configure(
        *((PROPAGATED, PROPAGATED_OBJECTIVE) if effect == "propagated" else ({}, {}))
    )
    plain = dataclasses.replace(SIZES, network_genes=(0, 1, 2, 3))
    told = dataclasses.replace(plain, categories=CATEGORIES)
    without, with_them = (
        init_params(jax.random.key(0), Spec(sizes, config.model, config.objective))
        for sizes in (plain, told)
    )
    assert "covariates" not in without["guide"] and "covariates" not in without["decoder"]
    for part in ("guide", "decoder"):
        table = with_them[part].pop("covariates")["table"]
        assert table.shape[0] == 5 and not np.asarray(table).any()
    assert jax.tree.structure(without) == jax.tree.structure(with_them)
    for ours, theirs in zip(jax.tree.leaves(without), jax.tree.leaves(with_them), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@partial(jax.jit, static_argnames="spec")
def loss_of(*arrays, spec):
    return loss(*arrays, spec=spec)[0]


def told_case():
    """Return a case with covariates, and the same without."""
    case = make_case(sizes=SIZES)
    n = len(case.batch.weight)
    codes = np.stack([np.arange(n) % 2, 2 + np.arange(n) % 3], axis=1).astype(np.int32)
    spec = dataclasses.replace(case.spec, sizes=WITH)
    params = jax.tree.map(lambda x: x, dict(case.params))
    for part, width in (("guide", 5), ("decoder", 5)):
        params[part] = {**params[part], "covariates": {"table": jnp.zeros((5, width))}}
    batch = case.batch._replace(covariates=jnp.asarray(codes))
    return case, case._replace(spec=spec, params=params, batch=batch)


def test_tables_of_zeros_give_the_same_loss():
    plain, told = told_case()
    ours, theirs = (loss_of(*case.arrays, spec=case.spec) for case in (told, plain))
    np.testing.assert_array_equal(ours, theirs)


def test_every_category_of_a_batch_has_a_gradient():
    _, told = told_case()
    gradient = jax.jit(jax.grad(loss_of), static_argnames="spec")(*told.arrays, spec=told.spec)
    for part in ("guide", "decoder"):
        table = np.asarray(gradient[part]["covariates"]["table"])
        assert (np.abs(table).sum(axis=1) > 0).all(), part


def test_renamed_categories_only_rename_rows():
    """Categories in another order, with the rows of the tables in that order, change nothing."""
    _, told = told_case()
    rng = np.random.default_rng(0)
    table = {part: rng.normal(size=(5, 5)).astype(np.float32) for part in ("guide", "decoder")}
    order = np.array([1, 0, 4, 2, 3])  # within each covariate
    place = np.argsort(order)

    def with_tables(rows):
        params = dict(told.params)
        for part in ("guide", "decoder"):
            params[part] = {**params[part], "covariates": {"table": jnp.asarray(table[part][rows])}}
        return params

    sizes = dataclasses.replace(WITH, categories=((1, 3), (1, 2, 1)))
    moved = told.batch._replace(covariates=jnp.asarray(place[np.asarray(told.batch.covariates)]))
    ours = loss_of(with_tables(np.arange(5)), *told.arrays[1:], spec=told.spec)
    theirs = loss_of(
        with_tables(order), told.context, moved, told.noise,
        spec=dataclasses.replace(told.spec, sizes=sizes),
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.fixture(scope="module")
def screen():
    """Return a prepared screen with batches, and its settings."""
    simulated = SimulateConfig(n_cells=300, n_genes=40, n_perturbed=4, n_extended=2, n_batches=3)
    config = presets.demo()
    config = dataclasses.replace(
        config,
        prepare=dataclasses.replace(config.prepare, batch_key="batch"),
        train=dataclasses.replace(config.train, max_epochs=2),
    )
    return data.prepare(data.simulate(simulated), config.prepare), config


def test_a_lane_of_several_seeds_is_the_run_of_its_seed(screen):
    prepared, config = screen
    dataset = data.from_anndata(prepared)
    assert [len(cells) for cells in dataset.sizes.categories] == [3]
    together = train(dataset, config, seeds=(0, 1), together=True)
    alone = train(dataset, config, seeds=1)
    for ours, theirs in zip(
        jax.tree.leaves(together[1].params), jax.tree.leaves(alone.params), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)
    table = np.asarray(alone.params["decoder"]["covariates"]["table"])
    assert table.shape[0] == 3 and np.abs(table).max() > 0
    guide = bind(alone.params, alone.spec).guide
    counts = jnp.asarray(dataset.splits["test"].cells.counts[:2])
    statistics = dataset.splits["test"].context.statistics
    one, other = (
        guide.encode_counts(counts, statistics, jnp.full((2, 1), code)) for code in (0, 1)
    )
    assert np.abs(np.asarray(one - other)).max() > 0


def test_sizes_of_a_run_are_read_again():
    sizes = Sizes(7, 4, 3, 1, (0, 1, 2, 3), (3,), CATEGORIES)
    assert Sizes.from_record(dataclasses.asdict(sizes)) == sizes
    record = dataclasses.asdict(sizes)
    record["categories"] = [list(cells) for cells in CATEGORIES]
    assert Sizes.from_record(record) == sizes
