"""Programs of evaluation and prediction on a GPU: no loop or branch that the host must decide."""

from functools import partial

import jax
import numpy as np
import pytest

from gpo_vae_jax.evaluate.effects import model_effects
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo, sample_shared
from gpo_vae_jax.model import count_kernel, sample_shared_noise
from gpo_vae_jax.predict import lent_cells, mean_effects, sampling
from gpo_vae_jax.predict.conditions import Conditions, conditions_of, with_control
from gpo_vae_jax.predict.expected_profiles import lent_profiles, own_profiles
from gpo_vae_jax.spec import Spec
from tests import builders
from tests.evaluate.test_predictive_bound import CONFIG
from tests.tiny import tiny_dataset


@pytest.fixture(scope="module")
def traced():
    """Return the traced programs by name, in the form of a GPU."""
    dataset = tiny_dataset()
    sizes, split = dataset.sizes, dataset.splits["test"]
    spec = Spec(sizes, CONFIG)
    statistics = split.context.statistics
    params = builders.param_shapes(spec)
    noise = jax.eval_shape(lambda: sample_shared_noise(jax.random.key(1), spec, np.arange(2)))
    shared = jax.eval_shape(partial(sample_shared, spec=spec), params, noise)
    batch = jax.tree.map(lambda a: a[:4], split.cells)
    numbers, particles, genes = np.arange(4), np.arange(2), np.arange(sizes.n_genes, dtype="u4")
    names = dataset.treatments[: sizes.n_perturbed]
    conditions = with_control(conditions_of([names[:1], names[1:2]], names))
    at = np.array([0, 1, 2, 0])
    under = Conditions(conditions.rows, conditions.perturbation[at], conditions.dosage[at], numbers)
    sums = (params, conditions, 0, 4, np.float32(1e4), 0, genes)
    drawn = (params, conditions, particles, np.full((2, 3), 1e4, np.float32), 0, genes)
    of_cells = (params, statistics, batch, numbers)
    weights, basal = np.ones((1, 4, 3), np.float32), np.zeros((2, 4, CONFIG.n_latent), np.float32)
    each = dict(step=2, failed=False, spec=spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        if not count_kernel.kernel_is_there():
            pytest.skip("this jax has no kernels")
        jax.clear_caches()
        programs = {
            "block_sums": model_effects._block_sums.trace(*sums, n_chunks=2, **each),
            "cells": sampling._cells.trace(*drawn, failed=False, expected=False, spec=spec),
            "expected": sampling._cells.trace(*drawn, failed=False, expected=True, spec=spec),
            "lent_cells": lent_cells._lent_cells.trace(
                params, statistics, batch, under, particles[:1], 0, genes, spec=spec
            ),
            "own_profiles": own_profiles.trace(*of_cells, particles, 0, spec=spec),
            "lent_profiles": lent_profiles.trace(
                *of_cells, conditions, weights, particles, 0, spec=spec
            ),
            "mean_effects": mean_effects.mean_effects.trace(
                params, conditions, 0, spec=spec, n_particles=3
            ),
            "shared": sample_shared.trace(params, noise, spec=spec),
            "bound": predictive_iwelbo.trace(
                params, statistics, batch, shared, basal, spec=spec
            ),
        }  # fmt: skip
        of_cpu = model_effects._block_sums.trace(*sums, n_chunks=None, **each)
    jax.clear_caches()
    return programs, of_cpu


def open_courses(jaxpr):
    """Return the loops and branches that depend on data, but for those inside of kernels."""
    found = []
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "pallas_call":
            continue
        if name == "while" or (name == "cond" and not equation.params.get("branches_platforms")):
            found.append(name)
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=is_jaxpr):
            if is_jaxpr(value):
                found += open_courses(getattr(value, "jaxpr", value))
    return found


def is_jaxpr(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


@pytest.mark.parametrize(
    "name",
    [
        "block_sums", "cells", "expected", "lent_cells", "own_profiles", "lent_profiles",
        "mean_effects", "shared", "bound",
    ],
)  # fmt: skip
def test_the_course_of_a_program_is_known(traced, name):
    assert open_courses(traced[0][name].jaxpr.jaxpr) == []


def test_the_form_of_a_cpu_is_seen_to_depend_on_data(traced):
    assert open_courses(traced[1].jaxpr.jaxpr) == ["while"]
