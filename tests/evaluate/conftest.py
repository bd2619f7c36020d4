"""One small evaluation in memory, computed once for all tests that look at results."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.evaluate.evaluation import evaluate
from gpo_vae_jax.evaluate.knowledge import KnownNetwork
from gpo_vae_jax.model.trained import Member, Trained
from tests import builders
from tests.evaluate.effects.test_model_effects import SETTINGS, make

NO_HISTORY = pd.DataFrame()
LIMITS = {"3": {"UMI_count": 60.0}, "4": {"UMI_count": 1.0}}


@pytest.fixture(scope="session")
def dataset():
    """Return 120 cells of 8 genes with 4 perturbations, whose true network is known."""
    plain = make()
    network = np.zeros((4, 4))
    network[0, 1], network[1, 3], network[2, 0] = 1.0, -1.0, 0.5
    limits = dataclasses.replace(plain.conventions, quality_limits=LIMITS)
    return dataclasses.replace(plain, conventions=limits, true_network=network)


@pytest.fixture(scope="session")
def trained(dataset):
    """Return a model with random parameters and no history."""
    model = builders.make_model(dataset.sizes)
    member = Member(
        seed=0, params=model.params, best_loss=1.5, best_epoch=0, n_epochs=1, history=NO_HISTORY
    )
    return Trained(
        config=dataclasses.replace(builders.configure(), name="small"),
        sizes=dataset.sizes,
        treatments=dataset.treatments,
        genes=dataset.genes,
        members=(member,),
        description={},
    )


@pytest.fixture(scope="session")
def evaluation(trained, dataset):
    """Return the evaluation of the model; two of its edges are known."""
    edges = pd.DataFrame({"source": ["A", "B"], "target": ["B", "7"], "sign": ["", ""]})
    known = KnownNetwork("KNOWN", "edges", edges, frozenset(("A", "B", "7")))
    few = dataclasses.replace(SETTINGS, iwelbo_particles=3, quality_cells=30, matched_edges=(2,))
    return evaluate(trained, dataset, few, [known])
