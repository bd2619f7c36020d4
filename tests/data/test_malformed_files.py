"""Hundreds of inputs that cannot be prepared: a clear error each, and nothing written."""

import dataclasses
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import prepare, prepare_file, read_h5ad
from gpo_vae_jax.errors import ConfigError, DataError
from tests.data import malformed
from tests.paths import ROOT

EXAMPLES = 14  # of each way to spoil the data,
FILES = 2  # and of those, written to a file first


def attempt(folder, source, **changes):
    """Prepare as the command does, and return the names of the files left besides the input."""
    target = Path(folder) / "out.h5ad"
    config = dataclasses.replace(PrepareConfig(), **changes)
    try:
        prepare_file(source, target, config, guess=True)
    finally:
        left = sorted(p.name for p in Path(folder).iterdir() if p != source)
    return left


@pytest.mark.parametrize("form", malformed.FORMS)
@pytest.mark.parametrize("convention", malformed.CONVENTIONS)
def test_the_same_files_unspoilt_can_be_prepared(tmp_path, form, convention):
    """Without this the test below would prove nothing."""
    adata = malformed.good(np.random.default_rng(0), 60, 4, form, convention)
    adata.write_h5ad(tmp_path / "raw.h5ad")
    assert attempt(tmp_path, tmp_path / "raw.h5ad") == ["out.h5ad"]
    prepared = read_h5ad(tmp_path / "out.h5ad")
    assert set(prepared.obs["perturbation"]) - {"G0", "G1", "G0+G1"} == {
        malformed.CONVENTIONS[convention][1]
    }


def spoil(case, data):
    """Return spoilt data and the settings to prepare it with, both drawn by hypothesis."""
    convention = data.draw(st.sampled_from(sorted(malformed.CONVENTIONS)), label="convention")
    form = data.draw(st.sampled_from(sorted(malformed.FORMS)), label="form")
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    n_cells, n_genes = data.draw(st.integers(50, 70)), data.draw(st.integers(2, 5))
    adata = malformed.good(rng, n_cells, n_genes, form, convention)
    key, control, _ = malformed.CONVENTIONS[convention]
    return malformed.SPOILT[case](adata, data.draw, key, control)


def refused(prepare_it):
    """Check that preparation fails with an error that says more than a few words."""
    with pytest.raises((DataError, ConfigError)) as caught:
        prepare_it()
    assert isinstance(caught.value, ValueError) and len(str(caught.value)) > 15


@pytest.mark.filterwarnings("ignore:(Observation|Variable) names are not unique:UserWarning")
@pytest.mark.parametrize("case", malformed.SPOILT)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_spoilt_data_ends_in_an_error(case, data):
    adata, changes = spoil(case, data)
    config = dataclasses.replace(PrepareConfig(), **changes)
    refused(lambda: prepare(adata, config, guess=True))


@pytest.mark.filterwarnings("ignore:(Observation|Variable) names are not unique:UserWarning")
@pytest.mark.parametrize("case", malformed.SPOILT)
@settings(max_examples=FILES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_spoilt_file_leaves_nothing_behind(case, data):
    adata, changes = spoil(case, data)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "raw.h5ad"
        adata.write_h5ad(source)
        refused(lambda: attempt(folder, source, **changes))
        assert [p.name for p in Path(folder).iterdir()] == ["raw.h5ad"]


def test_the_cases_are_many():
    assert len(malformed.SPOILT) * EXAMPLES >= 500


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda tail: b"\x89HDF\r\n\x1a\n" + tail),
        st.integers(1, 6000),
        st.sampled_from(["empty", "table", "array"]),
    )
)
def test_a_file_that_is_no_h5ad(what):
    """Text, HDF5 signatures, truncated files, and HDF5 that is not an AnnData."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "raw.h5ad"
        if isinstance(what, bytes):
            source.write_bytes(what)
        elif isinstance(what, int):
            malformed.good(np.random.default_rng(0), 50, 3, "csr", "plain").write_h5ad(source)
            source.write_bytes(source.read_bytes()[:what])
        else:
            with h5py.File(source, "w") as file:
                if what == "table":
                    file["obs"] = np.arange(3)
                elif what == "array":
                    file["X"] = np.eye(3)
        with pytest.raises(DataError):
            attempt(folder, source)
        assert [p.name for p in Path(folder).iterdir()] == ["raw.h5ad"]


@pytest.fixture
def raw_file(tmp_path):
    path = tmp_path / "raw.h5ad"
    malformed.good(np.random.default_rng(0), 400, 60, "csr", "plain").write_h5ad(path)
    return path


def test_a_disk_that_fills_up_while_writing(raw_file, tmp_path, monkeypatch):
    def fill(self, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "out.h5ad").write_text("old")
    monkeypatch.setattr(anndata.AnnData, "write_h5ad", fill)
    with pytest.raises(DataError, match=r"out.h5ad' cannot be written: the disk is full"):
        attempt(tmp_path, raw_file)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.h5ad", "raw.h5ad"]
    assert (tmp_path / "out.h5ad").read_text() == "old"


def test_a_disk_that_is_full_before_any_work(raw_file, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DataError, match=r"the disk is full: 0.0 MB are free"):
        attempt(tmp_path, raw_file)


def test_a_write_that_the_system_cuts_short(raw_file, tmp_path):
    """A process that may write 20 kB to a file: HDF5 itself fails halfway."""
    code = """
import resource, sys
from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.data import prepare_file
from gpo_vae_jax.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    prepare_file(sys.argv[1], sys.argv[2], PrepareConfig())
except DataError as error:
    print("DataError:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(raw_file), str(tmp_path / "out.h5ad")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "DataError:" in done.stdout and "cannot be written" in done.stdout, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["raw.h5ad"]
