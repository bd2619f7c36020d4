"""Files in each of the conventions, prepared by one command each."""

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.config import SimulateConfig
from gpo_vae_jax.data import load, read_h5ad, simulate
from tests.running import call

SIZES = SimulateConfig(n_cells=360, n_genes=40, n_perturbed=4, fail_fraction=0.1)


def command(preset, source, target, *settings):
    """Run gpo-vae prepare and return what it printed."""
    files = (f"--input={source}", f"--output={target}")
    done = call("prepare", f"--preset={preset}", *files, *settings)
    assert done.status == 0, done.err
    return done.out


def replogle():
    """Symbols in `gene`, ids beside them and as var names."""
    adata = simulate(SIZES)
    ids = {symbol: f"ENSG{i:011d}" for i, symbol in enumerate(adata.var_names)}
    obs = adata.obs.rename(columns={"perturbation": "gene"})
    obs["gene_id"] = [ids.get(str(gene), "non-targeting") for gene in obs["gene"]]
    adata.obs = obs
    adata.var["gene_name"] = adata.var_names
    adata.var_names = pd.Index([ids[str(symbol)] for symbol in adata.var_names], name="gene_id")
    return adata, "", ["perturbations are read from obs['gene']", "identified by var['gene_name']"]


def gears():
    adata = simulate(SimulateConfig(**vars(SIZES) | {"double_fraction": 0.3}))
    label = adata.obs["perturbation"].astype(str)
    single = ~label.str.contains("+", regex=False) & (label != "non-targeting")
    label[single] = [f"{g}+ctrl" if i % 2 else f"ctrl+{g}" for i, g in enumerate(label[single])]
    adata.obs["condition"] = label.replace("non-targeting", "ctrl").astype("category")
    del adata.obs["perturbation"]
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X)
    return adata, "--config.prepare.layer=counts", ["obs['condition']", "are joined by '+'"]


def scperturb():
    """Pairs joined by "_", in genes whose names hold it."""
    adata = simulate(SimulateConfig(**vars(SIZES) | {"double_fraction": 0.3}))
    adata.var_names = adata.var_names.str.replace("GENE", "GENE_")
    label = adata.obs["perturbation"].astype(str)
    label = label.str.replace("GENE", "GENE_").str.replace("+", "_")
    adata.obs["perturbation"] = label.replace("non-targeting", "control")
    return adata, "", ["obs['perturbation']", "are joined by '_'"]


@pytest.mark.parametrize("convention", [replogle, gears, scperturb])
def test_one_command_prepares_the_file(convention, tmp_path):
    adata, flag, said = convention()
    adata.write_h5ad(tmp_path / "raw.h5ad")
    target = tmp_path / "prepared.h5ad"
    printed = command("anndata", tmp_path / "raw.h5ad", target, *filter(None, [flag]))
    for sentence in said:
        assert sentence in printed
    dataset = load(target)
    perturbed = set(adata.var_names[adata.var["perturbed"]])
    assert set(dataset.treatments[: dataset.n_perturbed]) == perturbed
    pairs = dataset.splits["train"].cells.dosage.sum(axis=1)
    assert pairs.max() == (1 if convention is replogle else 2)
    assert (pairs == 0).any()
    assert sum(len(cells) for cells in dataset.cells.values()) == adata.n_obs


def test_a_published_data_set_from_raw_counts(tmp_path):
    """Every filter is on; the table at the end says what each did."""
    adata = simulate(SIZES)
    adata.obs = adata.obs.rename(columns={"perturbation": "gene"})
    genes = sorted(adata.var_names[adata.var["perturbed"]])
    adata.write_h5ad(tmp_path / "raw.h5ad")
    pd.DataFrame({
        "genetic perturbation": [f"{i}_{gene}_P1_ENSG" for i, gene in enumerate(genes)],
        "Number of DEGs (anderson-darling)": [60, 60, 60, 50],
        "percent knockdown": -0.9,
        "number of cells (filtered)": 100,
    }).to_excel(tmp_path / "summary.xlsx", sheet_name="RPE1")  # fmt: skip
    printed = command(
        "rpe1", tmp_path / "raw.h5ad", tmp_path / "prepared.h5ad",
        f"--config.prepare.strong_table={tmp_path / 'summary.xlsx'}",
        "--config.prepare.strong_sheet=RPE1",
        "--config.prepare.min_cells=10",
        "--config.prepare.scrublet=off",
    )  # fmt: skip
    table = printed[printed.index("  stage ") :].splitlines()
    stages = [line.split("  ")[1] for line in table[1:9]]
    assert stages == [
        "input", "strong perturbations", "knock-down", "measured genes", "minimum cells", "split",
        "quality control", "extended genes",
    ]  # fmt: skip
    assert "4 -> 3" in table[2]
    assert "percentile 10.0" in table[3]
    assert "by row order" in table[6]
    assert "rule up_only" in table[8]
    prepared = read_h5ad(tmp_path / "prepared.h5ad")
    assert genes[3] not in set(prepared.obs["perturbation"])
    assert prepared.n_obs < adata.n_obs
    assert load(tmp_path / "prepared.h5ad").n_perturbed == 3


def test_a_published_data_set_that_is_prepared_already(tmp_path):
    adata = simulate(SIZES)
    rng = np.random.default_rng(0)
    obs = adata.obs.rename(columns={"perturbation": "gene"})
    for name in ("UMI_count", "ngenes", "pct_counts_mt", "pct_counts_ribo", "pct_counts_hb"):
        obs[name] = rng.random(adata.n_obs)
    obs["predicted_doublet"] = rng.random(adata.n_obs) < 0.05
    controls = np.flatnonzero(obs["gene"] == "non-targeting")
    obs["matched_ctrl_idx"] = rng.choice(controls, adata.n_obs)
    adata.obs = obs
    adata.var["FC3"] = np.arange(adata.n_vars) % 9 == 0
    source = tmp_path / "rpe1_qc_deg_matched_ctrl_idx_ot.h5ad"
    adata.write_h5ad(source)
    printed = command("rpe1", source, tmp_path / "prepared.h5ad")
    assert "obs['matched_ctrl_idx'], read as row numbers" in printed
    prepared = read_h5ad(tmp_path / "prepared.h5ad")
    assert list(prepared.obs["matched_control"]) == list(adata.obs_names[obs["matched_ctrl_idx"]])
    assert load(tmp_path / "prepared.h5ad").n_perturbed == 4
