"""MuData whose modalities do not have the same cells."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gpo_vae_jax.data import write
from gpo_vae_jax.data.prepare.reading.guide_assignment import guide_block
from gpo_vae_jax.data.prepare.reading.multimodal import from_mudata
from tests.data.prepare.raw.screens import screen


def test_flags_of_guides_that_some_cells_lack_can_be_written(tmp_path):
    mudata = pytest.importorskip("mudata")
    raw = screen()
    cells = raw.obs_names[:100]
    obs = pd.DataFrame({"captured": np.arange(100) % 2 == 0}, index=cells)
    guides = anndata.AnnData(sparse.csr_matrix(np.ones((100, 1))), obs, pd.DataFrame(index=["g"]))
    with mudata.set_options(pull_on_update=False):
        adata, _ = from_mudata(mudata.MuData({"rna": raw, "gdo": guides}))
    counts, names = guide_block(adata)
    assert names == ["g"]
    assert counts.toarray().ravel().tolist() == [1.0] * 100 + [0.0] * (raw.n_obs - 100)
    write(adata, tmp_path / "x.h5ad")
    back = anndata.read_h5ad(tmp_path / "x.h5ad").obs["captured"]
    assert back.isna().tolist() == [False] * 100 + [True] * (raw.n_obs - 100)
    assert back[:100].astype(bool).tolist() == obs["captured"].tolist()
