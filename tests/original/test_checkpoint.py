"""A Lightning checkpoint is read without torch; what it says of itself is recovered."""

import numpy as np
import pytest

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.original import state_dict
from gpo_vae_jax.original.checkpoint import read_checkpoint
from gpo_vae_jax.original.torch_archive import read_archive, write_archive
from gpo_vae_jax.spec import Spec
from tests.builders import SIZES, configure, make_case
from tests.original import checkpoints, malicious
from tests.original.test_state_dict import tree_equal

GENES = tuple(f"gene {i}" for i in range(SIZES.n_genes))
SETTINGS = {"seed": 3, "devices": [4], "model_kwargs": {"n_latent": 3, "sum_mode": False}}


@pytest.fixture(scope="module")
def state():
    case = make_case()
    return state_dict.to_torch(case.params, case.spec, case.context.statistics)


def test_everything_that_it_says_is_recovered(tmp_path, state):
    path = checkpoints.write(
        tmp_path / "a.ckpt", state, genes=GENES, config=SETTINGS, cells=[3, 4, 5, 0]
    )
    found = read_checkpoint(path)
    tree_equal(found.state, state)
    assert found.genes == GENES
    assert found.settings == SETTINGS  # and not the object of the original's own
    assert found.cells.tolist() == [3, 4, 5, 0]
    assert (found.epoch, found.step) == (7, 70)
    spec = state_dict.infer(found.state)
    assert spec.model.n_latent == configure().model.n_latent
    tree_equal(state_dict.from_torch(found.state, Spec(SIZES, spec.model)), make_case().params)


def test_a_file_of_the_state_alone_is_read(tmp_path, state):
    write_archive(tmp_path / "a.pt", state)
    found = read_checkpoint(tmp_path / "a.pt")
    tree_equal(found.state, state)
    assert (found.genes, found.settings, found.cells, found.epoch) == ((), {}, None, None)


def test_a_checkpoint_that_would_run_code_is_read_and_runs_nothing(tmp_path, state):
    trace = tmp_path / "executed"
    extra = malicious.dumped("logger") + malicious.body(
        "os", "mkdir", (str(trace),), "reduce"
    ).removesuffix(b".")
    path = checkpoints.write(tmp_path / "a.ckpt", state, genes=GENES, extra=extra)
    found = read_checkpoint(path)
    tree_equal(found.state, state)
    assert not trace.exists()
    assert checkpoints.loads(extra.removeprefix(malicious.dumped("logger"))) is None
    assert trace.exists()  # the trap works


def test_settings_without_end_are_refused(tmp_path, state):
    path = checkpoints.write(tmp_path / "a.ckpt", state, config={"model_kwargs": {}})
    endless = b"}q\x50" + malicious.dumped("again") + b"h\x50s"
    extra = malicious.dumped("config") + endless
    path = checkpoints.write(tmp_path / "a.ckpt", state, genes=GENES, extra=extra)
    with pytest.raises(DataError, match="more than 100,000 settings"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content", [{"state_dict": {"weight": 1}}, {"a": [1, 2]}, {"state_dict": 3}]
)
def test_a_file_without_a_model_is_refused(tmp_path, content):
    write_archive(tmp_path / "other.pt", content)
    with pytest.raises(DataError, match=r"other\.pt holds no GPO-VAE"):
        read_checkpoint(tmp_path / "other.pt")


def test_the_recorded_checkpoint_of_the_original(shared):
    path = shared("data/original/rpe1_small.ckpt")
    found, whole = read_checkpoint(path), read_archive(path)["state_dict"]
    assert found.genes == tuple(f"g{i}" for i in range(72))
    assert found.settings["loss_module_kwargs"]["penaly_coeff"] == 10
    assert found.settings["data_module"] == "RPE1DataModule"
    for name, value in found.state.items():
        np.testing.assert_array_equal(value, whole[f"predictor.{name}"])
    spec = state_dict.infer(found.state)
    assert (spec.sizes.n_genes, spec.sizes.n_treatments, spec.model.n_latent) == (72, 29, 20)
    params = state_dict.from_torch(found.state, spec)
    back = state_dict.to_torch(params, spec, state_dict.statistics_from_torch(found.state))
    assert set(back) == set(found.state)
    for name, value in back.items():
        np.testing.assert_array_equal(value, found.state[name], err_msg=name)
