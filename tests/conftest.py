"""Strict settings for every test: before jax starts, hence above its import."""

import os
from pathlib import Path

ON_CPU = os.environ.setdefault("JAX_PLATFORMS", "cpu") == "cpu"
if ON_CPU:
    # The tests compile many small programs and run each for milliseconds: compile fast.
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    )

# Processes of a test run, and the next run, share what one of them has compiled.
_CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis
import jax
import numpy as np
import pytest

from tests import paths

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", False)  # tests provoke losses that are not finite
jax.config.update("jax_default_matmul_precision", "float32")  # no TF32 beside recorded numbers

HAS_KEY_REUSE = hasattr(jax.config, "jax_debug_key_reuse")

hypothesis.settings.register_profile("local", deadline=None, database=None)
hypothesis.settings.register_profile("ci", deadline=None, database=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser):
    """Add --key-reuse."""
    parser.addoption(
        "--key-reuse", action="store_true", help="fail wherever a random key is used twice"
    )


def pytest_configure(config):
    """Turn the check of random keys on for the whole session, if asked."""
    if config.getoption("--key-reuse"):
        if not HAS_KEY_REUSE:
            raise pytest.UsageError(f"jax {jax.__version__} cannot check the reuse of keys")
        jax.config.update("jax_debug_key_reuse", True)


def pytest_collection_modifyitems(items):
    """Skip tests marked `gpu` where there is none."""
    if ON_CPU:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU: JAX_PLATFORMS=cuda"))


@pytest.fixture
def no_key_reuse():
    """Fail the test where it uses a random key twice; skip it where jax cannot tell."""
    if not HAS_KEY_REUSE:
        pytest.skip(f"jax {jax.__version__} cannot check the reuse of keys")
    with jax.debug_key_reuse(True):
        yield


@pytest.fixture
def shared():
    """Return a function from a name to the path of optional real data; it skips without the file."""

    def path(name: str):
        file = paths.shared_folder() / name
        if not file.exists():
            pytest.skip(f"{name} is not there; set GPO_VAE_JAX_DATA to the folder that holds it")
        return file

    return path


@pytest.fixture
def golden():
    """Return a function from a name, such as "loss_base", to the recorded arrays."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(paths.GOLDEN / f"{name}.npz", allow_pickle=False) as file:
            return dict(file)

    return load
