"""Cells that take less memory on the device give the same batches, to the last bit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import cells_in, init_state, run_epoch
from gpo_vae_jax.train.batches import gather
from gpo_vae_jax.train.cells_in import source_of
from gpo_vae_jax.train.compact_cells import Coded, Shared, coded, compact, narrowed, shared
from gpo_vae_jax.types import Split

ROWS = jnp.asarray([3, 0, 149, 3])


@pytest.fixture(scope="module")
def repetitive(dataset):
    """Return the tiny data, with few counterfactual rows and few values of delta in a cell."""

    def few(split):
        cells = split.cells
        n = len(cells.weight)
        counterfactual = cells.counterfactual.copy()
        counterfactual[::2] = 0
        counterfactual[1::2] = counterfactual[1]
        delta = np.linspace(0, 1.7, n, dtype=np.float32)[:, None] * (cells.delta > 0.3)
        counts = np.minimum(cells.counts, 255).astype(np.uint16)
        fields = {"counts": counts, "counterfactual": counterfactual, "delta": delta}
        return Split(cells._replace(**fields), split.context)

    splits = {name: few(split) for name, split in dataset.splits.items()}
    return dataset.__class__(**{**vars(dataset), "splits": splits})


def n_bytes(tree):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def assert_same_bits(ours, theirs):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))


def test_an_epoch_on_compact_cells_is_the_same_epoch(for_a_cpu, monkeypatch, config, repetitive):
    spec = Spec.of(config(), repetitive.sizes)
    plain = source_of(repetitive, streamed=False)
    monkeypatch.setattr(cells_in, "on_cpu", lambda: False)
    small = source_of(repetitive, streamed=False)
    for split in small[:2]:
        assert isinstance(split.cells.counterfactual, Shared)
        assert isinstance(split.cells.delta, Coded)
        assert split.cells.counts.dtype == np.uint8
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(split))
    assert n_bytes(small) < 0.7 * n_bytes(plain)
    state = init_state(0, spec=spec)
    expected = run_epoch(state, *plain, spec=spec)
    chex.assert_trees_all_equal(run_epoch(state, *small, spec=spec), expected)


def test_on_a_cpu_cells_stay_as_they_are(for_a_cpu, repetitive):
    train = repetitive.splits["train"]
    assert cells_in.as_kept(train) is train


def test_a_batch_is_the_same(repetitive):
    split = repetitive.splits["train"]
    rows = ROWS % len(split.cells.weight)
    filled = jnp.asarray([True, True, True, False])
    expected, found = (gather(part.cells, rows, filled) for part in (split, compact(split)))
    assert found.counts.dtype == np.uint8 and expected.counts.dtype == np.uint16
    chex.assert_trees_all_equal(found._replace(counts=expected.counts), expected)
    np.testing.assert_array_equal(found.counts, expected.counts)


@pytest.mark.parametrize(
    ("largest", "kind"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (65_536, np.uint32)]
)
def test_counts_are_as_narrow_as_the_largest(largest, kind):
    counts = np.zeros((3, 4), np.uint32)
    counts[1, 2] = largest
    found = narrowed(counts)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, counts)


def test_counts_with_fractions_stay():
    counts = np.array([[0.5, 2.0]], np.float32)
    assert narrowed(counts) is counts


def test_rows_are_shared_where_that_is_smaller():
    rows = np.arange(40, dtype=np.uint8).reshape(4, 10)
    assert shared(rows) is rows
    found = shared(rows[[2, 2, 0, 2, 0, 0]])
    np.testing.assert_array_equal(found.rows, rows[[2, 0]])
    np.testing.assert_array_equal(found.take(jnp.arange(6)), rows[[2, 2, 0, 2, 0, 0]])


def test_values_keep_their_bits():
    """Also the sign of a zero, and which nan it is."""
    rng = np.random.default_rng(0)
    table = rng.random((300, 5), np.float32)
    table[:, 0], table[:, 1] = 0.0, -0.0
    table[7, 2] = np.uint32(0x7FC00123).view(np.float32)
    numbers = rng.integers(5, size=(300, 40))
    matrix = np.take_along_axis(table, numbers, axis=1)
    found = coded(matrix)
    assert found.values.shape == (300, 5) and found.code.dtype == np.uint8
    cells = np.array([7, 299, 0])
    assert_same_bits(found.take(jnp.asarray(cells)), matrix[cells])


@pytest.mark.parametrize("where", [0, 290])
def test_values_that_differ_are_no_table(where):
    """One cell is enough, also one that is not among the first that are looked at."""
    matrix = np.zeros((300, 40), np.float32)
    matrix[where] = np.arange(40)
    assert coded(matrix) is matrix
    wide = np.zeros((300, 1200), np.float32)
    wide[where, :257] = np.arange(257)
    assert coded(wide) is wide, "more than a byte can name"
    wide[where, 256] = 0
    assert isinstance(coded(wide), Coded)


def test_fields_without_columns_stay():
    empty = np.zeros((5, 0), np.float32)
    assert coded(empty) is empty
    none = np.zeros((5, 0), np.uint16)
    assert shared(narrowed(none)) is none
