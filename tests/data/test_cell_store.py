"""Cells on disk: the same data set as in memory, and a folder that is reused or written anew."""

import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import anndata
import h5py
import jax
import numpy as np
import pytest

from gpo_vae_jax import data
from gpo_vae_jax.config import DataConfig, PrepareConfig, SimulateConfig
from gpo_vae_jax.data.prepared.store import cell_store, placement, store_writer
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.train.description import fingerprint
from tests.data import damages

ON_DISK, IN_MEMORY = DataConfig(cells_in="disk"), DataConfig(cells_in="host")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a prepared file of 400 cells."""
    raw = data.simulate(
        SimulateConfig(n_cells=400, n_genes=40, n_perturbed=5, n_extended=3, n_batches=2)
    )
    path = tmp_path_factory.mktemp("prepared") / "cells.h5ad"
    data.write(data.prepare(raw, PrepareConfig(batch_key="batch", qc_threshold=2.0)), path)
    return path


@pytest.fixture
def prepared(written, tmp_path):
    """Return a copy that a test may change."""
    return shutil.copy2(written, tmp_path / "cells.h5ad")


def store(path):
    return path.with_name(f"{path.name}.cells")


def assert_same(one, other):
    """Compare all arrays, their types and the names, field by field."""
    for name, split in one.splits.items():
        for field, values in split.cells._asdict().items():
            found = getattr(other.splits[name].cells, field)
            if values is None:
                assert found is None
                continue
            assert found.dtype == values.dtype and found.shape == values.shape, field
            assert len(found) == len(values) and found.nbytes == values.nbytes
            np.testing.assert_array_equal(np.asarray(found), values, err_msg=field)
        jax.tree.map(np.testing.assert_array_equal, other.splits[name].context, split.context)
        np.testing.assert_array_equal(other.cells[name], one.cells[name])
        np.testing.assert_array_equal(other.labels[name], one.labels[name])
    for name, table in one.tables.items():
        np.testing.assert_array_equal(other.tables[name], table)
    same = ("treatments", "genes", "label_genes", "conventions", "covariates", "n_perturbed")
    assert all(getattr(one, name) == getattr(other, name) for name in same)
    assert other.sizes == one.sizes


def test_the_data_set_is_that_in_memory(prepared):
    before = data.load(prepared, IN_MEMORY)
    assert (np.asarray(before.splits["train"].cells.counterfactual).sum(axis=1) > 0).any()
    first = data.load(prepared, ON_DISK)
    assert_same(before, first)
    assert fingerprint(first) == fingerprint(before)
    again = data.load(prepared, ON_DISK)  # statistics come from the folder
    assert_same(before, again)
    assert fingerprint(again) == fingerprint(before)
    masked = {"mask_test": (before.treatments[0],)}
    assert_same(
        data.load(prepared, dataclasses.replace(IN_MEMORY, **masked)),
        data.load(prepared, dataclasses.replace(ON_DISK, **masked)),
    )


@pytest.mark.parametrize("form", ["dense", "csc"])
def test_other_forms_of_the_matrices(prepared, form):
    adata = anndata.read_h5ad(prepared)
    for change in ("X", "counterfactual"):
        matrix = adata.X if change == "X" else adata.layers[change]
        matrix = matrix.toarray().astype(np.float32) if form == "dense" else matrix.tocsc()
        if change == "X":
            adata.X = matrix
        else:
            adata.layers[change] = matrix
    path = prepared.with_name("other.h5ad")
    adata.write_h5ad(path)
    assert_same(data.load(prepared, IN_MEMORY), data.load(path, ON_DISK))


@pytest.mark.filterwarnings("ignore:Writing zarr")
def test_a_zarr_folder(prepared):
    path = prepared.with_suffix(".zarr")
    anndata.read_h5ad(prepared).write_zarr(path)
    before = data.load(prepared, IN_MEMORY)
    assert_same(before, data.load(path, ON_DISK))
    assert_same(before, data.load(path, IN_MEMORY))


def test_counts_widen_where_they_must(prepared):
    adata = anndata.read_h5ad(prepared)
    x = adata.X.toarray().astype(np.uint32)
    x[3, 1], x[350, 2] = 300, 70_000  # wider twice
    adata.X = x
    adata.write_h5ad(prepared)
    found = data.load(prepared, ON_DISK)
    assert found.splits["train"].cells.counts.dtype == np.uint32
    assert_same(data.load(prepared, IN_MEMORY), found)


def test_rows_and_columns_are_those_of_the_array(prepared):
    cells = data.load(prepared, ON_DISK).splits["train"].cells
    for rows in (cells.counts, cells.counterfactual, cells.delta):
        whole = np.asarray(rows)
        some = np.array([5, 3, 3, 0, len(whole) - 1])
        for key in (4, -1, slice(3, 90, 7), slice(0, 0), some, whole[:, 0] > 0):
            np.testing.assert_array_equal(rows[key], whole[key])
        columns = np.array([2, 0, 1])
        np.testing.assert_array_equal(rows[np.ix_(some, columns)], whole[np.ix_(some, columns)])
        np.testing.assert_array_equal(rows[some, 1:3], whole[some, 1:3])
        np.testing.assert_array_equal(np.concatenate(list(rows.chunks())), whole)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows))[some], whole[some])
    every_gene = np.arange(cells.counts.shape[1])  # some are no network genes
    np.testing.assert_array_equal(
        cells.counts[np.ix_(some, every_gene)], np.asarray(cells.counts)[some]
    )


def modified(path):
    return (store(path) / store_writer.COUNTS).stat().st_mtime_ns


def test_the_folder_is_used_again(prepared, capsys):
    data.load(prepared, ON_DISK, shown=True)
    assert "there are none yet" in capsys.readouterr().err
    at = modified(prepared)
    data.load(prepared, ON_DISK, shown=True)
    assert modified(prepared) == at
    said = capsys.readouterr().err
    assert "400 cells of 40 genes" in said and "kept on disk" in said
    assert "are written" not in said


def truncate(file):
    os.truncate(file, file.stat().st_size - 3)


DAMAGES = {
    "a truncated array": (lambda folder: truncate(folder / store_writer.COUNTS), "counts.bin has"),
    "a missing array": (lambda folder: (folder / store_writer.DELTA).unlink(), "delta.bin is miss"),
    "a truncated record": (lambda folder: truncate(folder / "cells.json"), "cells.json is damaged"),
    "an empty record": (lambda folder: (folder / "cells.json").write_text(""), "cells.json is dam"),
    "another version": (
        lambda folder: (folder / "cells.json").write_text(
            (folder / "cells.json")
            .read_text()
            .replace('"format_version": 1', '"format_version": 0')
        ),
        "another version",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_written_anew(prepared, capsys, damage):
    change, reason = DAMAGES[damage]
    data.load(prepared, ON_DISK)
    change(store(prepared))
    found = data.load(prepared, ON_DISK, shown=True)
    assert reason in capsys.readouterr().err
    assert_same(data.load(prepared, IN_MEMORY), found)


@pytest.mark.parametrize("left", [0, 100])
def test_damaged_statistics_are_computed_again(prepared, left):
    data.load(prepared, ON_DISK)
    os.truncate(store(prepared) / "statistics.npz", left)
    assert_same(data.load(prepared, IN_MEMORY), data.load(prepared, ON_DISK))


def test_a_file_that_has_changed_is_written_anew(prepared, capsys):
    data.load(prepared, ON_DISK)
    with h5py.File(prepared, "r+") as file:
        file["obsm/delta_x"][0, 0] = 7.0
    os.utime(prepared, ns=(1, 1))
    found = data.load(prepared, ON_DISK, shown=True)
    assert "the prepared file has changed" in capsys.readouterr().err
    assert_same(data.load(prepared, IN_MEMORY), found)


def test_an_array_that_shrinks_while_it_is_used_is_named(prepared):
    counts = data.load(prepared, ON_DISK).splits["train"].cells.counts
    os.truncate(store(prepared) / store_writer.COUNTS, 100)
    with pytest.raises(DataError, match=r"counts\.bin: rows cannot be read: it is shorter"):
        np.asarray(counts)


def test_a_disk_without_room_is_refused_before_anything_is_written(prepared, monkeypatch):
    full = SimpleNamespace(free=10_000)
    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda path: full)
    with pytest.raises(DataError, match=r"no room .* 0\.00 GB are needed.*config\.data\.store"):
        data.load(prepared, ON_DISK)
    assert [p.name for p in prepared.parent.iterdir()] == ["cells.h5ad"]


def test_the_room_that_is_asked_for_is_enough(prepared):
    data.load(prepared, ON_DISK)
    taken = sum(file.stat().st_size for file in store(prepared).glob("*.bin"))
    with store_writer_cells(prepared) as cells:
        needed = store_writer.bytes_needed(cells, cells.obsm["delta_x"].shape[1])
    assert taken <= needed <= 1.2 * taken


def store_writer_cells(path):
    return data.prepared.store.elements.elements(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interruption_leaves_no_folder(prepared, monkeypatch, error):
    def stop(*args):
        raise error

    monkeypatch.setattr(store_writer, "_write_columns", stop)  # the other arrays are written
    expected = pytest.raises(DataError, match="disk is full") if error is not KeyboardInterrupt \
        else pytest.raises(KeyboardInterrupt)  # fmt: skip
    with expected:
        data.load(prepared, ON_DISK)
    assert [p.name for p in prepared.parent.iterdir()] == ["cells.h5ad"]


def test_what_a_killed_process_left_is_removed(prepared):
    code = (
        "import os, signal, sys\n"
        "from gpo_vae_jax import data, config\n"
        "from gpo_vae_jax.data.prepared.store import store_writer\n"
        "store_writer._write_columns = lambda *args: os.kill(os.getpid(), signal.SIGKILL)\n"
        "data.load(sys.argv[1], config.DataConfig(cells_in='disk'))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, prepared], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not store(prepared).exists()
    assert len(list(prepared.parent.glob(".*.part"))) == 1
    data.load(prepared, ON_DISK)
    assert {p.name for p in prepared.parent.iterdir()} == {"cells.h5ad", "cells.h5ad.cells"}


def test_another_folder(prepared, tmp_path):
    where = tmp_path / "fast" / "disk"
    where.parent.mkdir()
    found = data.load(prepared, dataclasses.replace(ON_DISK, store=str(where)))
    assert (where / "cells.json").is_file() and not store(prepared).exists()
    assert_same(data.load(prepared, IN_MEMORY), found)
    record = json.loads((where / "cells.json").read_text())
    assert record["source"]["bytes"] == prepared.stat().st_size


def test_a_folder_that_cannot_be_written_is_named(prepared, tmp_path):
    (tmp_path / "file").write_text("")
    config = dataclasses.replace(ON_DISK, store=str(tmp_path / "file" / "cells"))
    with pytest.raises(DataError, match=r"cannot be written to disk: .*config\.data\.store"):
        data.load(prepared, config)


def test_wrong_annotation_is_refused_before_cells_are_written(prepared):
    adata = anndata.read_h5ad(prepared)
    adata.obs["split"] = adata.obs["split"].astype(str).replace("val", "valid")
    adata.write_h5ad(prepared)
    with pytest.raises(DataError, match="values valid"):
        data.load(prepared, ON_DISK)
    assert not store(prepared).exists()


@pytest.mark.parametrize("part", ["X", "layers", "obsm"])
def test_damaged_matrices_are_refused_or_the_same(tmp_path, part):
    """As from memory, whatever the damage; and nothing is left on disk."""
    good = damages.write_prepared(tmp_path)
    before, path, refused = data.load(good), tmp_path / "damaged.h5ad", 0
    for damage in damages.damages(good):
        if damage.part != part:
            continue
        shutil.copyfile(good, path)
        with h5py.File(path, "r+") as file:
            damage.change(file)
        from_memory, from_disk = attempt(path, IN_MEMORY), attempt(path, ON_DISK)
        if from_disk is None:
            assert from_memory is None and not store(path).exists(), damage.name
            refused += 1
        else:  # anndata refuses some attributes that nothing here depends on
            assert_same(from_memory or before, from_disk)
            shutil.rmtree(store(path))
    assert refused > 5


def attempt(path, config):
    """Return the data set, or None where it is refused."""
    try:
        return data.load(path, config)
    except DataError:
        return None


def test_the_disk_is_chosen_where_memory_is_short(prepared, monkeypatch):
    auto = DataConfig()
    needed = placement.placement(prepared, auto).needed
    assert needed > 400 * 40 * 2
    for available, on_disk in ((needed / 0.5, False), (needed / 0.7, True)):
        monkeypatch.setattr(placement, "available_bytes", lambda found=available: found)
        place = placement.placement(prepared, auto)
        assert place.on_disk == on_disk and place.available == available
        assert ("on disk" in place.sentence) == on_disk
    data.load(prepared, auto)
    assert store(prepared).exists()
    for cells_in in ("host", "device"):
        assert not placement.placement(prepared, DataConfig(cells_in=cells_in)).on_disk


def test_a_read_only_folder_does_without_statistics(prepared, monkeypatch):
    data.load(prepared, ON_DISK)
    (store(prepared) / "statistics.npz").unlink()

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cell_store, "written_beside", refuse)
    assert_same(data.load(prepared, IN_MEMORY), data.load(prepared, ON_DISK))
    assert not (store(prepared) / "statistics.npz").exists()
