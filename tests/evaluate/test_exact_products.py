"""Compiled programs of evaluation multiply in float32, whatever precision jax is set to."""

from functools import partial

import jax
import numpy as np
import pytest

from gpo_vae_jax.evaluate.effects import model_effects
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo, sample_shared
from gpo_vae_jax.model import sample_shared_noise
from gpo_vae_jax.predict import sampling
from gpo_vae_jax.predict.conditions import conditions_of, with_control
from gpo_vae_jax.spec import Spec
from tests import builders
from tests.evaluate.test_predictive_bound import CONFIG
from tests.tiny import tiny_dataset


@pytest.fixture(scope="module")
def lowered():
    """Return the program of each jitted function of the model, lowered where jax would round."""
    dataset = tiny_dataset()
    sizes, split = dataset.sizes, dataset.splits["test"]
    spec = Spec(sizes, CONFIG)
    params = builders.param_shapes(spec)  # shapes are enough to lower a program
    noise = jax.eval_shape(lambda: sample_shared_noise(jax.random.key(1), spec, np.arange(2)))
    shared = jax.eval_shape(partial(sample_shared, spec=spec), params, noise)
    batch = jax.tree.map(lambda a: a[:4], split.cells)
    basal = np.zeros((2, 4, CONFIG.n_latent), np.float32)
    names = dataset.treatments[: sizes.n_perturbed]
    conditions = with_control(conditions_of([names[:1], names[1:2]], names))
    genes, library = np.arange(sizes.n_genes, dtype=np.uint32), np.full((2, 3), 1e4, np.float32)
    cells = (params, conditions, np.arange(2), library, 0, genes)
    sums = (params, conditions, 0, 2, np.float32(1e4), 0, genes)
    with jax.default_matmul_precision("bfloat16"):
        return {
            "bound": predictive_iwelbo.lower(
                params, split.context.statistics, batch, shared, basal, spec=spec
            ),
            "guide": sample_shared.lower(params, noise, spec=spec),
            "cells": sampling._cells.lower(*cells, failed=False, expected=False, spec=spec),
            "effects": model_effects._block_sums.lower(*sums, step=2, failed=False, spec=spec),
        }


@pytest.mark.parametrize("name", ["bound", "guide", "cells", "effects"])
def test_evaluation_multiplies_in_float32(lowered, name):
    products = [line for line in lowered[name].as_text().splitlines() if "dot_general" in line]
    assert len(products) > 3
    for line in products:
        assert "[HIGHEST, HIGHEST]" in line, line
