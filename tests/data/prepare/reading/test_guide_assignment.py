"""The dominant guide of a cell."""

import numpy as np
import pytest
from scipy import sparse

from gpo_vae_jax.data.prepare.reading.guide_assignment import assign_guides

COUNTS = np.array([[5, 5, 0], [6, 5, 0], [6, 3, 1], [3, 0, 0], [2, 0, 0], [0, 0, 0], [0, 8, 2]])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize(
    ("share", "want"),
    [
        (0.5, ["multiplet", "A", "A", "A", "unassigned", "unassigned", "B"]),
        (0.6, ["multiplet", "multiplet", "A", "A", "unassigned", "unassigned", "B"]),
        (0.8, ["multiplet", "multiplet", "multiplet", "A", "unassigned", "unassigned", "B"]),
        (
            1.0,
            ["multiplet", "multiplet", "multiplet", "A", "unassigned", "unassigned", "multiplet"],
        ),
    ],
)
def test_two_guides_level_with_each_other_are_never_one(form, share, want):
    assert (
        assign_guides(form(COUNTS), ["A", "B", "C"], least=3, share=share).labels.tolist() == want
    )


def test_calls_of_guides_count_as_guides():
    calls = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]])
    assigned = assign_guides(calls, ["a", "b", "c"], least=3, share=0.6)
    assert assigned.labels.tolist() == ["a", "c", "multiplet", "unassigned"]
