"""Effects of cells: rows of E * M, or changes that travel along the network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.model.cell_effects import (
    LARGEST,
    CellEffects,
    cell_effects,
    propagate,
    with_assumed,
)
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Sizes
from tests.builders import PROPAGATED, configure, make_batch
from tests.reference import dense_dosage

P, T, R, B = 2, 6, 4, 9
SIZES = Sizes(10, T, R, network_genes=tuple(range(T)))


def spec_of(**settings):
    return Spec.of(configure(settings), SIZES)


@pytest.fixture(scope="module", params=[1, 3])
def found(request):
    rng = np.random.default_rng(0)
    batch = make_batch(rng, SIZES, B, width=request.param)
    embedding = jnp.asarray(rng.normal(size=(P, T, T)), jnp.float32)
    mask = jnp.asarray(rng.random((P, T, T)) < 0.4, jnp.float32)
    return batch, embedding, mask


def by_hand(own, weights, held, steps):
    """Follow one condition entry by entry, in float64."""
    change = np.where(held, own, 0.0)
    change = LARGEST * np.tanh(change / LARGEST)
    for _ in range(steps):
        new = np.zeros_like(change)
        for gene in range(len(change)):
            new[gene] = own[gene] if held[gene] else change @ weights[:, gene]
        change = LARGEST * np.tanh(new / LARGEST)
    return change


def test_latent_effects_are_sums_of_the_rows_of_perturbed_genes(found):
    batch, embedding, mask = found
    effects = cell_effects(embedding[:, :R], mask[:, :R], batch, spec=spec_of())
    product = (embedding * mask)[:, :R]
    expected = np.einsum("br,prt->pbt", dense_dosage(batch, R), product)
    np.testing.assert_allclose(effects.of_cells(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_propagated_effects_by_hand(found, steps):
    batch, embedding, mask = found
    spec = spec_of(**PROPAGATED, propagate=steps)
    effects = cell_effects(embedding, mask, batch, spec=spec).of_cells()
    held = dense_dosage(batch, T) != 0
    for p in range(P):
        e, m = np.asarray(embedding[p], float), np.asarray(mask[p], float)
        weights = e * m * (1 - np.eye(T))
        for cell in range(B):
            expected = by_hand(np.diag(e), weights, held[cell], steps)
            np.testing.assert_allclose(effects[p, cell], expected, rtol=1e-5, atol=1e-5)


def test_a_linear_function_may_be_applied_to_rows(found):
    batch, embedding, mask = found
    effects = cell_effects(embedding, mask, batch, spec=spec_of(**PROPAGATED))
    kernel = np.random.default_rng(1).normal(size=(T, 3)).astype(np.float32)
    np.testing.assert_allclose(
        effects.through(lambda rows: rows @ kernel),
        effects.of_cells() @ kernel,
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_function_by_cell_is_the_same_for_few_cells_and_many():
    """Whichever comes first, the function or the cells."""
    rng = np.random.default_rng(0)
    rows, kernel = jnp.asarray(rng.normal(size=(2, 5, 3))), jnp.asarray(rng.normal(size=(3, 4)))
    for n_cells in (3, 9):
        perturbation = jnp.asarray(rng.integers(0, 5, (n_cells, 2)))
        dosage = jnp.asarray(rng.integers(0, 2, (n_cells, 2)), jnp.float32)
        effects = CellEffects(rows, perturbation, dosage)
        np.testing.assert_allclose(
            effects.by_cell(lambda of: of @ kernel),
            jnp.swapaxes(effects.of_cells() @ kernel, 0, 1),
            rtol=1e-5,
            atol=1e-6,
        )


def test_rows_may_be_named(found):
    """Cells then index the rows that are named, whatever the other rows are."""
    batch, embedding, mask = found
    spec = spec_of(**PROPAGATED)
    order = np.array([2, 0, 3, 1])
    moved = batch._replace(perturbation=jnp.argsort(jnp.asarray(order))[batch.perturbation])
    np.testing.assert_allclose(
        cell_effects(embedding, mask, moved, spec=spec, rows=jnp.asarray(order)).of_cells(),
        cell_effects(embedding, mask, batch, spec=spec).of_cells(),
        rtol=1e-6,
    )


def test_a_chain_carries_the_change_one_edge_a_step():
    weights = np.zeros((1, 4, 4), np.float32)
    weights[0, [0, 1, 2], [1, 2, 3]] = 0.1
    own = np.full((1, 4), -0.01, np.float32)  # small enough that the limit does nothing
    held = np.eye(4, dtype=bool)[:1]
    for steps in range(4):
        change = propagate(own, weights, held, steps)[0, 0]
        expected = np.where(np.arange(4) <= steps, -0.01 * 0.1 ** np.arange(4), 0)
        np.testing.assert_allclose(change, expected, rtol=1e-4)


def test_what_regulates_a_perturbed_gene_does_not_move_it():
    weights = np.ones((1, 3, 3), np.float32) * (1 - np.eye(3, dtype=np.float32))
    own = np.array([[-1.0, 2.0, 0.5]], np.float32)
    change = propagate(own, weights, np.array([[True, True, False]]), 5)
    np.testing.assert_allclose(
        change[0, 0, :2], LARGEST * np.tanh(np.array([-1.0, 2.0]) / LARGEST), rtol=1e-6
    )


def test_strong_cycles_stay_within_the_limit_and_so_do_their_gradients():
    weights = jnp.full((1, 5, 5), 3.0) * (1 - jnp.eye(5))[None]

    def last(weights):
        return propagate(jnp.full((1, 5), -2.0), weights, np.eye(5, dtype=bool), 50)

    assert float(jnp.abs(last(weights)).max()) <= LARGEST
    assert np.isfinite(jax.grad(lambda w: last(w).sum())(weights)).all()


def test_the_network_of_a_program_depends_on_the_number_of_steps():
    short, long = spec_of(**PROPAGATED), spec_of(**PROPAGATED, propagate=1)
    assert short != long and dataclasses.replace(long, model=short.model) == short


def test_a_perturbation_without_training_cells_is_assumed_to_act_like_the_others():
    """The mean is over measured genes with training cells: 0 and 1, not 2, which is not."""
    sizes = Sizes(10, 6, 4, network_genes=(0, 1, -1, 3, 4, 5), unseen=(3, 4, 5))
    own = jnp.asarray([[-1.0, -3, 9, 0.5, 0.1, 0.2], [-2.0, -2, 9, 0, 0, 0]])
    expected = [[-1, -3, 9, -2, -2, -2], [-2, -2, 9, -2, -2, -2]]
    np.testing.assert_allclose(with_assumed(own, sizes), expected)
    np.testing.assert_array_equal(with_assumed(own, dataclasses.replace(sizes, unseen=())), own)
    none = dataclasses.replace(sizes, unseen=(0, 1, 3))  # no measured gene is left to tell
    np.testing.assert_array_equal(with_assumed(own, none), own)


def test_effects_of_seen_perturbations_do_not_depend_on_unseen_ones(found):
    batch, embedding, mask = found
    spec = spec_of(**PROPAGATED)
    told = dataclasses.replace(spec, sizes=dataclasses.replace(SIZES, unseen=(4, 5)))
    np.testing.assert_array_equal(
        cell_effects(embedding, mask, batch, spec=told).of_cells(),
        cell_effects(embedding, mask, batch, spec=spec).of_cells(),
    )


def test_kappa_of_unseen_perturbations_has_no_gradient():
    sizes = Sizes(10, 6, 4, network_genes=tuple(range(6)), unseen=(2, 5))
    gradient = jax.grad(lambda own: with_assumed(own, sizes)[:, 2].sum())(jnp.ones((1, 6)))
    np.testing.assert_allclose(gradient, [[1 / 3, 1 / 3, 0, 1 / 3, 0, 0]], rtol=1e-6)
