"""Damaged prepared files: an error of one line that names the field, or the same Dataset."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from gpo_vae_jax import data
from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.errors import DataError
from tests.data import damages
from tests.paths import ROOT

LEAST = {  # reads of damaged files, part by part
    **{"X": 190, "layers": 80, "obs": 180, "obsm": 30},
    **{"uns": 8, "uns/gpo_vae": 140, "uns/gpo_vae_truth": 130, "var": 70},
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return damages.write_recorded(tmp_path_factory.mktemp("recorded"))


def differences(one, other, path=""):
    """Return the paths at which two Datasets differ in any value, type or name."""
    if dataclasses.is_dataclass(one) or hasattr(one, "_fields"):
        names = getattr(one, "_fields", None) or [field.name for field in dataclasses.fields(one)]
        one, other = ({name: getattr(value, name) for name in names} for value in (one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        found = [] if list(one) == list(other) else [path]
        for name in set(one) & set(other):
            found += differences(one[name], other[name], f"{path}.{name}" if path else name)
        return found
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        number = one.dtype.kind == "f"
        same = one.dtype == other.dtype and np.array_equal(one, other, equal_nan=number)
    else:
        same = type(one) is type(other) and one == other
    return [] if same else [path]


def in_memory(path):
    return data.from_anndata(data.read_h5ad(path))


def attempt(read, path, damage, before):
    """Return what became of a damaged file, "refused", "same" or "lost", or else what is wrong."""
    try:
        after = read(path)
    except DataError as error:
        said = str(error).replace(str(path), "")
        if "\n" in said or not any(word in said for word in damage.words):
            return f"{damage.name}: the error does not name the field: {said}"
        return "refused"
    except BaseException as error:  # the point of these tests
        return f"{damage.name}: {type(error).__name__}: {error}"
    allowed = [of for name, of in damages.MAY_DIFFER.items() if damage.name.startswith(name)]
    differ = [one for one in differences(before, after) if not one.startswith(sum(allowed, ()))]
    if differ:
        return f"{damage.name}: accepted, with other {', '.join(differ)}"
    return "lost" if differences(before, after) else "same"


@pytest.mark.filterwarnings("ignore")  # as for a user: no warning stands in for an error
@pytest.mark.parametrize("part", LEAST)
def test_every_field_damaged_in_every_way(tmp_path, part):
    """As the commands read a file; and some in memory, where only X is read by other code."""
    good = damages.write_prepared(tmp_path, of=part)
    before = data.load(good)
    assert not differences(before, in_memory(good))
    seen = []
    for damage in damages.damages(good):
        if damage.part != part:
            continue
        path = damaged(good, tmp_path / "damaged.h5ad", damage.change)
        seen.append(attempt(data.load, path, damage, before))
        if part == "X" or len(seen) % 5 == 0:
            seen.append(attempt(in_memory, path, damage, before))
    wrong = [one for one in seen if one not in ("refused", "same", "lost")]
    assert not wrong, "\n".join(wrong)
    assert seen.count("refused") >= len(seen) // 2
    assert len(seen) >= LEAST[part]


def damaged(path, target, change):
    """Copy a file, damage the copy, and return its path."""
    shutil.copyfile(path, target)
    with h5py.File(target, "r+") as file:
        change(file)
    return target


@pytest.mark.parametrize("matrix", damages.MATRICES)
def test_indices_out_of_range_do_not_end_the_process(tmp_path, matrix):
    """Without a check, compiled code writes where they point."""
    good = damages.write_prepared(tmp_path)
    change = damages.sparse_changes(matrix)["an index far too large"]
    damaged(good, tmp_path / "damaged.h5ad", change)
    code = """
import sys
from gpo_vae_jax import data
from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.errors import DataError
for read in (data.load, lambda path: data.from_anndata(data.read_h5ad(path))):
    try:
        read(sys.argv[1])
    except DataError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "damaged.h5ad")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    name = {"X": "X"}.get(matrix, "layers['counterfactual']")
    said = f"{name} is a damaged sparse matrix: indices has 2147483647; expected 0 to 10"
    assert done.stdout.count(said) == 2


def test_recorded_matches_in_another_split_are_as_many_as_the_record_states(recorded, tmp_path):
    adata = data.read_h5ad(recorded)
    record = adata.uns["gpo_vae"]
    stages = json.loads(record["stages"])
    stated = next(one["in_another_split"] for one in stages if one["stage"] == "control matching")
    assert stated > 10
    data.from_anndata(adata)
    at = adata.obs_names.get_indexer(adata.obs["matched_control"])
    own = adata.obs["split"].to_numpy()
    other = own[at]
    control = adata.obs_names[adata.obs["perturbation"] == damages.CONTROL]
    cell = int(np.argmax(own == other))
    beside = next(name for name in control if adata.obs["split"][name] != own[cell])
    adata.obs.loc[adata.obs_names[cell], "matched_control"] = beside
    with pytest.raises(DataError, match=rf"{stated + 1} matches in another split.*{stated}; prep"):
        data.from_anndata(adata)
    del record["stages"]
    with pytest.raises(DataError, match=r"matched_control.*such as that of .*states 0"):
        data.from_anndata(adata)


def test_a_computed_match_is_never_in_another_split(tmp_path):
    adata = data.read_h5ad(damages.write_prepared(tmp_path, of="uns/gpo_vae"))
    adata.obs["matched_control"] = adata.obs_names[adata.obs["perturbation"] == damages.CONTROL][0]
    with pytest.raises(DataError, match=r"matched_control.* in another split.*states 0"):
        data.from_anndata(adata)


def test_renamed_genes_are_named(tmp_path):
    adata = data.read_h5ad(damages.write_prepared(tmp_path))
    record = adata.uns["gpo_vae"]
    (unmeasured,) = json.loads(record["unmeasured"])
    measured = [name for name in record["dosage_names"] if name != unmeasured]
    data.from_anndata(adata)
    renamed = adata.copy()
    renamed.var_names = [f"ENSG{i}" for i in range(adata.n_vars)]
    first = rf"{len(measured)} of the 3 network genes .*not var names: {measured[0]}.*restore"
    with pytest.raises(DataError, match=first):
        data.from_anndata(renamed)
    del renamed.uns["gpo_vae"]["unmeasured"]  # as another program may write it
    with pytest.raises(DataError, match=r"delta_x.*values, but this gene is not measured"):
        data.from_anndata(renamed)
    back = adata.copy()
    back.var_names = [unmeasured, *adata.var_names[1:]]
    with pytest.raises(DataError, match=r"network genes|'unmeasured'\] names"):
        data.from_anndata(back)


def test_a_block_that_cannot_be_unpacked(tmp_path):
    good = damages.write_prepared(tmp_path)
    with h5py.File(good) as file:
        block = file["X/data"].id.get_chunk_info(0)
    content = bytearray(good.read_bytes())
    content[block.byte_offset : block.byte_offset + block.size] = bytes(block.size)
    bad = tmp_path / "bad.h5ad"
    bad.write_bytes(content)
    with pytest.raises(DataError, match=r"bad.h5ad: cannot be read to its end: .*read data"):
        data.load(bad)
    with pytest.raises(DataError, match=r"cannot be read as an h5ad file.*/X"):
        data.read_h5ad(bad)


@pytest.mark.parametrize("field", ["uns/gpo_vae/stages", "obs/matched_control", "obs/split"])
def test_a_file_with_recorded_matches_damaged(recorded, tmp_path, field):
    """Here the stages of the preparation must be there: they state the matches elsewhere."""
    before, seen = data.load(recorded), []
    assert before.conventions.doublets
    for damage in damages.damages(recorded):
        if damage.field.startswith(field):
            path = damaged(recorded, tmp_path / "damaged.h5ad", damage.change)
            seen.append(attempt(data.load, path, damage, before))
    assert seen == ["refused"] * len(seen) and len(seen) >= 9


RAW = [how for how in damages.sparse_changes("X") if not how.startswith(("dense", "said to be"))]


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_raw_counts_with_damaged_parts(tmp_path, form):
    adata = damages.raw()
    adata.X = adata.X.asformat(form)
    good, wrong = tmp_path / "raw.h5ad", []
    adata.write_h5ad(good)
    for how in RAW[form == "csc" :]:  # the first is an index that CSC may have
        bad = damaged(good, tmp_path / "bad.h5ad", damages.sparse_changes("X")[how])
        for read in (
            lambda path: data.prepare_file(path, tmp_path / "out.h5ad", PrepareConfig()),
            lambda path: data.prepare(data.read_h5ad(path)),
        ):
            try:
                read(bad)
                wrong.append(f"{how}: accepted")
            except DataError as error:
                if "X" not in str(error) or "\n" in str(error):
                    wrong.append(f"{how}: {error}")
            except Exception as error:  # the point of this test
                wrong.append(f"{how}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
    assert not (tmp_path / "out.h5ad").exists() and len(RAW) > 20
