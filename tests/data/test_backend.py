"""The choice between scanpy and rapids-singlecell, of which a fake stands in."""

import sys
import types

import numpy as np
import pytest
import scanpy
from scipy import sparse

from gpo_vae_jax.data import backend
from gpo_vae_jax.data import quality_control as quality
from gpo_vae_jax.errors import DataError

GENES = ["MT-CO1", "RPS3", "HBB", "ACTB"]


@pytest.fixture
def rapids(monkeypatch):
    """Install a fake package that calls scanpy and records its calls, and one GPU."""
    calls = []

    def recorded(name, function):
        def call(adata, **settings):
            calls.append((name, settings))
            return function(adata, **settings)

        return call

    def calculate_qc_metrics(adata, qc_vars, log1p):
        scanpy.pp.calculate_qc_metrics(
            adata, qc_vars=qc_vars, log1p=log1p, percent_top=None, inplace=True
        )

    def scrublet(adata, random_state, verbose):
        adata.obs["predicted_doublet"] = adata.X.toarray()[:, 0] > 2

    module = types.ModuleType("rapids_singlecell")
    module.__spec__ = types.SimpleNamespace(name="rapids_singlecell")
    functions = {
        "calculate_qc_metrics": calculate_qc_metrics,
        "log1p": scanpy.pp.log1p,
        "normalize_total": scanpy.pp.normalize_total,
        "scrublet": scrublet,
    }
    module.pp = types.SimpleNamespace(**{n: recorded(n, f) for n, f in functions.items()})
    module.get = types.SimpleNamespace(
        anndata_to_GPU=recorded("to GPU", lambda adata: None),
        anndata_to_CPU=recorded("to CPU", lambda adata: None),
    )
    monkeypatch.setitem(sys.modules, "rapids_singlecell", module)
    _devices(monkeypatch, lambda: 1)
    return calls


def _devices(monkeypatch, count):
    cupy = types.ModuleType("cupy")
    cupy.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=count))
    monkeypatch.setitem(sys.modules, "cupy", cupy)


@pytest.fixture
def matrix():
    return sparse.csr_matrix(np.random.default_rng(0).poisson(2, (30, 4)).astype(np.uint8))


def test_without_rapids(monkeypatch):
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    assert backend.choose_backend("auto") == backend.choose_backend("scanpy") == "scanpy"
    with pytest.raises(DataError, match=r"backend='rapids'.*pip install 'gpo-vae-jax\[rapids12\]'"):
        backend.choose_backend("rapids")


def test_a_name_that_is_none():
    with pytest.raises(
        DataError, match="backend='cpu' is not possible; there are: auto, scanpy, rapids"
    ):
        backend.choose_backend("cpu")


def test_with_rapids_and_a_device(rapids):
    assert backend.choose_backend("auto") == backend.choose_backend("rapids") == "rapids"
    assert backend.choose_backend("scanpy") == "scanpy"


def test_with_rapids_and_no_device(rapids, monkeypatch):
    def fail():
        raise RuntimeError("no driver")

    for count, reason in ((lambda: 0, "no GPU was found"), (fail, "no GPU can be used .no driver")):
        _devices(monkeypatch, count)
        assert backend.choose_backend("auto") == "scanpy"
        with pytest.raises(DataError, match=reason):
            backend.choose_backend("rapids")


def test_metrics_are_the_same_numbers(rapids, matrix):
    ours = quality.quality_metrics(matrix, GENES)
    theirs = quality.quality_metrics(matrix, GENES, "rapids")
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_array_equal(theirs[name], values)
    settings = {"qc_vars": ["mt", "ribo", "hb"], "log1p": False}
    assert rapids == [("to GPU", {}), ("calculate_qc_metrics", settings)]


def test_doublets(rapids, matrix):
    flags = quality.predicted_doublets(matrix, 5, np.arange(30) % 2, backend="rapids")
    np.testing.assert_array_equal(flags, matrix.toarray()[:, 0] > 2)
    assert rapids == 2 * [("to GPU", {}), ("scrublet", {"random_state": 5, "verbose": False})]


def test_scores_without_two_modes_flag_nobody(monkeypatch, matrix):
    monkeypatch.setattr(scanpy.pp, "scrublet", lambda adata, **settings: None)
    assert backend.scrublet(matrix, 0).tolist() == [0] * 30
