"""What matrix products are rounded to: the setting reaches every product, on every backend."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.precision import as_read, products_at
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import init_state, run_epoch
from tests.train.test_epoch import on_device

with_algorithms = pytest.mark.skipif(
    jax.__version_info__ < (0, 4, 36), reason="this jax cannot name algorithms"
)


def epoch_text(dataset, config, precision, platform="cpu"):
    spec = Spec.of(config(precision=precision), dataset.sizes)
    state = jax.eval_shape(lambda: init_state(0, spec=spec))
    args = (state, *on_device(dataset))
    if platform == "cpu":
        return run_epoch.lower(*args, spec=spec).as_text()

    def epoch(*args):  # not traced before, for another backend
        return run_epoch.__wrapped__(*args, spec=spec)

    return jax.jit(epoch).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def products(text):
    found = [line for line in text.splitlines() if "dot_general" in line]
    assert found
    return found


@pytest.mark.parametrize(
    ("precision", "name"), [("float32", "HIGHEST"), ("tf32", "HIGH"), ("bf16", "DEFAULT")]
)
def test_the_setting_reaches_every_product(dataset, config, precision, name, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    jax.clear_caches()
    lines = products(epoch_text(dataset, config, precision))
    assert len(lines) > 50
    for line in lines:  # sums, written as products with a vector, stay exact
        is_sum = re.search(r"[(, ]tensor<\d+xf32>[,)]", line)
        expected = "HIGHEST" if is_sum else name
        assert f"[{expected}, {expected}]" in line, line


@with_algorithms
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_on_a_gpu_it_is_what_it_is_called(dataset, config, precision, monkeypatch):
    """There jax's own "tensorfloat32" is three products of halves, and its "bfloat16" is TF32."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    lines = products(epoch_text(dataset, config, precision, platform="cuda"))
    assert len(lines) > 30
    for line in lines:
        assert f"lhs_precision_type = {precision}" in line, line
        assert "accumulation_type = f32" in line and "num_primitive_operations = 1" in line, line


@pytest.mark.parametrize("version", [(0, 4, 25), (0, 4, 35)])
def test_bf16_on_a_gpu_says_which_jax_it_needs(version, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "__version_info__", version)
    with pytest.raises(ConfigError, match=r"config\.train\.precision='bf16' needs jax .*'tf32'"):
        products_at("bf16")
    with products_at("tf32"), products_at("float32"):  # these every jax knows
        pass


@with_algorithms
@pytest.mark.parametrize(("precision", "digits"), [("tf32", 11), ("bf16", 8)])
def test_a_factor_keeps_the_digits_that_products_read(precision, digits, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    rng = np.random.default_rng(0)
    values = jnp.float32(rng.normal(size=1000) * 10.0 ** rng.integers(-3, 4, 1000))
    with products_at(precision):
        kept = as_read(values, standardised=True)
        whole = as_read(values)
        assert np.isfinite(as_read(jnp.float32([1e9, -1e9]), standardised=True)).all()
    assert kept.dtype == jnp.float32
    np.testing.assert_allclose(kept, values, rtol=2.0**-digits, atol=2.0**-25)
    assert (kept != values).mean() > 0.9
    np.testing.assert_array_equal(whole, values if precision == "tf32" else kept)
    with products_at("float32"):
        np.testing.assert_array_equal(as_read(values, standardised=True), values)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with products_at(precision):
        np.testing.assert_array_equal(as_read(values, standardised=True), values)
