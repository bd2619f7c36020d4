"""The form of the programs that tests run: that for a CPU, or that for a GPU computed on a CPU."""

import os

import jax
import pytest

FORM = os.environ.get("GPO_VAE_JAX_FORM", "")  # "gpu" in make test-gpu-form
FOR_A_CPU = not FORM and os.environ.get("JAX_PLATFORMS", "cpu") == "cpu"

# For tests that compare, to the last bit, programs which are one and the same on a CPU only.
same_on_a_cpu = pytest.mark.skipif(not FOR_A_CPU, reason="on a GPU these are two programs")


def take() -> None:
    """Let the package take the form that is asked for, in this process."""
    if FORM:
        jax.default_backend = lambda: FORM


@pytest.fixture
def for_a_cpu(monkeypatch):
    """Let the package take the form for a CPU, and forget programs of another."""
    if not FOR_A_CPU:
        monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
        jax.clear_caches()
    yield
    if not FOR_A_CPU:
        jax.clear_caches()
