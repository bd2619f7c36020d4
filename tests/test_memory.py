"""Chunk sizes."""

import numpy as np
import pytest

from gpo_vae_jax.memory import items_within, numbers_within, pieces


def test_numbers_of_a_gib():
    assert numbers_within(1.0) == 2**28
    assert numbers_within(0.125, 8) == 2**24


@pytest.mark.parametrize(("each", "items"), [(1, 100), (30, 3), (100, 1), (1000, 1), (0, 100)])
def test_at_least_one_item_fits(each, items):
    assert items_within(100, each) == items


@pytest.mark.parametrize(("n", "step"), [(0, 3), (1, 3), (9, 3), (10, 3), (2, 100)])
def test_pieces_cover_everything_once(n, step):
    rows = np.arange(n)
    found = [rows[piece] for piece in pieces(n, step)]
    np.testing.assert_array_equal(np.concatenate([rows[:0], *found]), rows)
    assert all(1 <= len(piece) <= step for piece in found)
