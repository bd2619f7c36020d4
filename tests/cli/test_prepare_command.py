"""gpo-vae prepare: a prepared file, or one line before any work."""

import numpy as np
import pytest

from gpo_vae_jax.config import SimulateConfig
from gpo_vae_jax.data import load, read_h5ad, simulate, write
from tests.data.prepare.raw import screens
from tests.running import call


@pytest.fixture(scope="module")
def raw_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "raw.h5ad"
    adata = simulate(SimulateConfig(n_cells=300, n_genes=40, n_perturbed=4))
    adata.obs = adata.obs.rename(columns={"perturbation": "gene"})
    write(adata, path)
    return path


def test_a_raw_file_becomes_a_prepared_one(raw_file, tmp_path):
    target = tmp_path / "prepared.h5ad"
    done = call(
        "prepare",
        "--preset=anndata",
        f"--input={raw_file}",
        f"--output={target}",
        "--config.prepare.seed=3",
    )
    assert done.status == 0, done.err
    assert "guessed: perturbations are read from obs['gene']" in done.out
    assert "cells kept" in done.out
    next_one = f"next: gpo-vae train --preset anndata --data.path={target} --workdir=runs/anndata"
    assert next_one in done.out.splitlines()
    assert done.out.splitlines()[-1].startswith("total time ")
    assert load(target).n_perturbed == 4


def test_what_a_split_holds_out_is_said_last_with_the_setting_that_undoes_it(tmp_path):
    adata = screens.screen(400)
    adata.obs["split"] = np.tile(["train", "train", "train", "val", "test"], 80)
    adata.obs.loc[adata.obs["perturbation"] == "MYC", "split"] = "test"
    write(adata, tmp_path / "split.h5ad")
    target = tmp_path / "prepared.h5ad"
    done = call(
        "prepare", "--preset=anndata", f"--input={tmp_path / 'split.h5ad'}", f"--output={target}"
    )
    assert done.status == 0, done.err
    last = done.err.splitlines()[-1]
    assert last.startswith("note: 1 perturbation without training cells: ")
    assert last.endswith("--config.prepare.split_key= (empty) draws new splits")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--input": "absent.h5ad"}, "--input: there is no file 'absent.h5ad'"),
        ({"--output": "absent/out.h5ad"}, "--output: the folder 'absent' does not exist"),
        ({"--output": "{input}"}, "--output is the same file as --input"),
        ({"--output": "{folder}"}, "is a folder; name a file in it"),
        ({"--config.prepare.split": "random"}, "config.prepare.split='random' is not possible"),
    ],
    ids=["no input", "no folder", "same file", "a folder", "a setting"],
)
def test_an_error_is_one_clear_line_before_any_work(raw_file, tmp_path, change, message):
    flags = {"--input": str(raw_file), "--output": str(tmp_path / "out.h5ad")} | change
    values = {"input": raw_file, "folder": tmp_path}
    done = call(
        "prepare",
        "--preset=anndata",
        *(f"{flag}={value.format(**values)}" for flag, value in flags.items()),
    )
    assert done.status == 1
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    assert message in done.err
    assert not list(tmp_path.iterdir())
    assert done.out == ""


def test_controls_by_pattern_and_notes_at_the_end(tmp_path):
    kinds = ("NT-1", "NT-2", "safe-targeting", "odd")
    change = screens.relabelled(lambda x, i: kinds[i % 4] if x == screens.CONTROL else x)
    change.write_h5ad(tmp_path / "raw.h5ad")
    n = sum(name in kinds[:3] for name in change.obs["perturbation"])
    done = call(
        "prepare", "--preset=anndata", f"--input={tmp_path / 'raw.h5ad'}",
        f"--output={tmp_path / 'out.h5ad'}", "--control", "NT-*", "safe-targeting",
    )  # fmt: skip
    assert done.status == 0, done.err
    prepared = read_h5ad(tmp_path / "out.h5ad")
    assert prepared.obs["perturbation"].value_counts()["control"] == n
    after_table = done.out.split("cells kept")[1]
    assert "note: 1 perturbed genes of" in after_table and "not measured: odd" in after_table
    assert "(--config.prepare.unmeasured=drop" in after_table


def test_several_files_on_one_command_line(tmp_path):
    raw = screens.screen()
    for name, part in (("one", raw[:150].copy()), ("two", raw[150:].copy())):
        part.write_h5ad(tmp_path / f"{name}.h5ad")
    done = call(
        "prepare", "--preset=anndata", "--input", tmp_path / "one.h5ad", tmp_path / "two.h5ad",
        f"--output={tmp_path / 'out.h5ad'}",
    )  # fmt: skip
    assert done.status == 0, done.err
    batch = read_h5ad(tmp_path / "out.h5ad").obs["batch"]
    assert batch.value_counts().to_dict() == {"one": 150, "two": 150}
