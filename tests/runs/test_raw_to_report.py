"""Raw files as cellranger and others leave them, from the file to the report."""

import dataclasses

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax import data
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.presets import PRESETS
from gpo_vae_jax.runs.evaluated import evaluate_run
from gpo_vae_jax.runs.fit import fit
from tests.data.prepare.raw.screens import GENES, of_genes, relabelled, screen
from tests.data.prepare.reading import written

QUICK = EvaluateConfig(
    effect_particles=20, iwelbo_particles=3, quality_cells=5, omission_pairs=5, matched_edges=(5,)
)


def small():
    config = PRESETS["anndata"]()
    model = dataclasses.replace(
        config.model, n_latent=4, basal_encoder_n_hidden=8, decoder_n_hidden=8
    )
    train = dataclasses.replace(config.train, max_epochs=2, batch_size=64)
    return dataclasses.replace(config, model=model, train=train)


def folder_of_10x(path):
    raw, guides, _ = written.multiome()
    written.tenx_folder(path / "run/outs/filtered_feature_bc_matrix", raw, guides)
    return path / "run"


def mudata_file(path):
    mudata = pytest.importorskip("mudata")
    raw, guides, _ = written.multiome()
    block = anndata.AnnData(
        sparse.csr_matrix(guides),
        obs=pd.DataFrame(index=raw.obs_names),
        var=pd.DataFrame(index=written.GUIDES),
    )
    mudata.MuData({"rna": raw, "gdo": block}).write(path / "screen.h5mu")
    return path / "screen.h5mu"


def guide_labels(path):
    raw = relabelled(of_genes(lambda x, i: f"{x}_sg{i // 4 % 2 + 1}"), screen(), "sgRNA")
    raw.write_h5ad(path / "guides.h5ad")
    return path / "guides.h5ad"


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of mudata
def test_files_of_a_core_facility_end_in_a_report(tmp_path):
    for make in (folder_of_10x, mudata_file, guide_labels):
        folder = tmp_path / make.__name__
        folder.mkdir()
        target = folder / "prepared.h5ad"
        data.prepare_file(make(folder), target, PRESETS["anndata"]().prepare, guess=True)
        dataset = data.load(target)
        assert dataset.treatments[:4] == GENES and dataset.n_perturbed == 4
        config = dataclasses.replace(
            small(), data=dataclasses.replace(small().data, path=str(target))
        )
        fit(dataset, config, folder / "trained", progress=False)
        evaluation, paths = evaluate_run(folder / "trained", QUICK, progress=False)
        assert np.isfinite(evaluation.summary["predictive_iwelbo"]["mean"])
        page = paths[-1].read_text()
        assert paths[-1].name == "report.html" and "Guides and controls" in page
        guides = pd.read_csv(folder / "trained" / "guides.csv")
        assert list(guides["gene"]) == sorted([*GENES, *GENES])
        assert not set(guides["verdict"]) & {"no effect", "disagrees"}
