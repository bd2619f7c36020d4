"""A run that the commands of these tests share: trained once in each process."""

import json

import pytest

from tests.running import call

SMALL = (
    "--preset=demo",
    "--simulate.n_cells=400",
    "--simulate.n_genes=30",
    "--simulate.n_perturbed=5",
    "--simulate.n_extended=3",
    "--model.n_latent=4",
    "--model.embedding_encoder_n_layers=1",
    "--train.max_epochs=2",
)


@pytest.fixture(scope="session")
def small():
    """Return the settings of the run."""
    return SMALL


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return the folder of a small run, and how its training ended; do not write into it."""
    workdir = tmp_path_factory.mktemp("runs") / "demo"
    done = call("train", *SMALL, f"--workdir={workdir}")
    assert done.status == 0, done.err
    return workdir, done


@pytest.fixture(scope="session")
def treatments(trained):
    """Return the names of the run's treatments, perturbed ones first."""
    return json.loads((trained[0] / "run.json").read_text())["treatments"]
