"""The recorded runs of the PyTorch original, and that a deviation from them is caught."""

import jax
import numpy as np
import pytest

from gpo_vae_jax import parity
from gpo_vae_jax.errors import DataError
from tests.paths import golden_files

RECORDED = ("loss_*", "train_*", "decode_*", "eval_iwelbo*")
FILES = [file for pattern in RECORDED for file in golden_files(f"{pattern}.npz")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_recorded_run_is_reproduced(file):
    result = parity.check(file)
    assert result.passed, result


def altered(tmp_path, name, **changes):
    [file] = golden_files(f"{name}.npz")
    record = dict(np.load(file, allow_pickle=False))
    for field, change in changes.items():
        if change is None:
            del record[field]
        else:
            record[field] = change(record[field])
    path = tmp_path / f"{name}.npz"
    np.savez(path, **record)
    return path


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("decode_poisson", "out/good_mean"),
        ("eval_iwelbo", "out/iwelbo"),
        ("loss_one_particle", "out/loss"),
        ("loss_one_particle", "out/grn_loss"),
        ("train_adam", "losses"),
        ("train_adam", "grad_norms_before_clip"),
    ],
)
@pytest.mark.parametrize("change", [1 + 2e-3, np.nan])
def test_another_number_is_caught(tmp_path, name, field, change):
    path = altered(tmp_path, name, **{field: lambda values: values * change})
    assert not parity.check(path).passed


def test_other_rates_are_refused(tmp_path):
    path = altered(tmp_path, "train_sgd_cyclic", lrs=lambda rates: rates[::-1])
    with pytest.raises(DataError, match="triangular"):
        parity.check(path)


@pytest.mark.parametrize("field", ["batch/qc", "grad/model.decoder.log_concentration", "out/loss"])
def test_missing_field_is_named_with_its_file(tmp_path, field):
    path = altered(tmp_path, "loss_base", **{field: None})
    with pytest.raises(DataError, match=r"loss_base.npz: .*"):
        parity.check(path)


def test_settings_that_cannot_be_used_are_named(tmp_path):
    path = altered(
        tmp_path, "loss_base", config=lambda text: np.array(str(text).replace("library_nb", "nb"))
    )
    with pytest.raises(DataError, match="likelihood_key='nb'"):
        parity.check(path)


def test_another_gradient_is_caught_and_named(tmp_path):
    name = "grad/guide.qc_encoder.mean_encoder.bias"
    path = altered(
        tmp_path,
        "loss_one_particle",
        **{name: lambda gradient: gradient + 1e-3 * np.abs(gradient).max()},
    )
    result = parity.check(path)
    assert not result.passed
    assert f"grad/{result.worst_name}" == name


def test_weight_decay_after_adam_is_caught(tmp_path, monkeypatch):
    """Adam amplifies: only decay before the moments moves entries whose gradient is zero."""
    import optax

    from gpo_vae_jax.parity import checks
    from gpo_vae_jax.train import optimizer, step

    def decoupled(config):
        return optax.chain(
            optimizer.clip_by_global_norm(config.gradient_clip_norm),
            optax.scale_by_adam(),
            optax.add_decayed_weights(config.weight_decay),
            optax.scale(-config.learning_rate),
        )

    monkeypatch.setattr(step, "make_optimizer", decoupled)
    monkeypatch.setattr(checks, "make_optimizer", decoupled)
    monkeypatch.setattr(checks, "_step", jax.jit(step.train_step, static_argnames="spec"))
    [file] = golden_files("train_adam.npz")
    assert not parity.check(file).passed


def test_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, x=np.zeros(3))
    with pytest.raises(DataError, match=r"other\.npz"):
        parity.check(path)
