"""Strict settings for every test: before jax starts, hence above its import."""

import os
import resource
from importlib.metadata import version
from pathlib import Path

ON_CPU = os.environ.setdefault("JAX_PLATFORMS", "cpu") == "cpu"
if ON_CPU:
    # The tests compile many small programs and run each for milliseconds: compile fast.
    _FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    if tuple(map(int, version("jaxlib").split(".")[:2])) >= (0, 8):  # an older one may not know it
        _FLAGS += " --xla_cpu_use_fusion_emitters=false"  # halves the time of compilation
    os.environ.setdefault("XLA_FLAGS", _FLAGS)

# Processes of a test run, and the next run, share what one of them has compiled.
_CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis
import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

from tests import forms, paths
from tests.forms import for_a_cpu  # noqa: F401  (a fixture)

# Shapes on the signatures of these modules are checked at every call.
TYPED = ("objective", "model.cells", "model.grn", "model.noise", "predict.conditions")
install_import_hook([f"gpo_vae_jax.{name}" for name in TYPED], "beartype.beartype")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", False)  # tests provoke losses that are not finite
jax.config.update("jax_default_matmul_precision", "float32")  # no TF32 beside recorded numbers

forms.take()

HAS_KEY_REUSE = hasattr(jax.config, "jax_debug_key_reuse")

hypothesis.settings.register_profile("local", deadline=None, database=None)
hypothesis.settings.register_profile("ci", deadline=None, database=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


SLOW_LIST = Path(__file__).with_name("slow.txt")  # node ids, measured by --write-slow
_SLOW_SECONDS = 1.0
_MOST_MEMORY = 3 * 2**30  # bytes
ON_LINUX = Path("/proc/self/statm").exists()


@pytest.fixture(scope="module", autouse=True)
def _forgotten_programs():
    """Let go of compiled programs once they take much memory: 3,000 tests compile as many."""
    yield
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if ON_LINUX else 0
    if pages * resource.getpagesize() > _MOST_MEMORY:
        from gpo_vae_jax.train import program  # here, because the import hook comes first

        jax.clear_caches()
        program._compiled.cache_clear()
        program.give_memory_back()


def pytest_addoption(parser):
    """Add --key-reuse and --write-slow."""
    parser.addoption(
        "--write-slow", action="store_true", help="write tests/slow.txt from what tests take now"
    )
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
    """Mark the tests that were measured to be slow; skip those marked `gpu` where there is none."""
    slow = set(SLOW_LIST.read_text().splitlines()) if SLOW_LIST.exists() else set()
    for item in items:
        if item.nodeid.partition("[")[0] in slow or item.nodeid.partition("::")[0] in slow:
            item.add_marker(pytest.mark.slow)
        if ON_CPU and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU: JAX_PLATFORMS=cuda"))


def pytest_terminal_summary(terminalreporter, config):
    """Write the list of slow tests, if asked: set-up counts for the test that triggers it."""
    if not config.getoption("--write-slow"):
        return
    seconds = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration") and hasattr(report, "nodeid"):
                name = report.nodeid.partition("[")[0]
                seconds[name] = max(seconds.get(name, 0.0), report.duration)
    slow = sorted(name for name, longest in seconds.items() if longest > _SLOW_SECONDS)
    SLOW_LIST.write_text("\n".join(slow) + "\n")


@pytest.fixture
def no_key_reuse():
    """Fail the test where it uses a random key twice; skip it where jax cannot tell."""
    if not HAS_KEY_REUSE:
        pytest.skip(f"jax {jax.__version__} cannot check the reuse of keys")
    with jax.debug_key_reuse(True):
        yield


@pytest.fixture
def shared():
    """Return a function from a name to the path of real data; it skips where that is absent."""

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
