"""Loom files by their main matrix, whoever wrote them."""

import numpy as np
import pytest

from gpo_vae_jax.data.prepare.reading.raw_files import open_raw
from tests.data.prepare.raw.screens import screen


@pytest.mark.filterwarnings("ignore")  # of loompy
@pytest.mark.parametrize("names", [("Gene", "CellID"), ("var_names", "obs_names")], ids=str)
@pytest.mark.parametrize("velocyto", [False, True])
def test_all_counts_and_both_kinds_of_names(names, velocyto, tmp_path):
    loompy = pytest.importorskip("loompy")
    raw = screen()
    counts = raw.X.toarray().T
    layers = {"": counts, "spliced": counts // 2, "unspliced": counts - counts // 2}
    rows = {names[0]: raw.var_names.to_numpy(str)}
    columns = {
        names[1]: raw.obs_names.to_numpy(str),
        "perturbation": raw.obs["perturbation"].to_numpy(str),
    }
    loompy.create(str(tmp_path / "x.loom"), layers if velocyto else counts, rows, columns)
    with open_raw([tmp_path / "x.loom"]) as found:
        adata = found.adata
    np.testing.assert_array_equal(adata.X.toarray(), raw.X.toarray())
    assert list(adata.obs_names) == list(raw.obs_names)
    assert list(adata.var_names) == list(raw.var_names)
    assert list(adata.obs["perturbation"]) == list(raw.obs["perturbation"])
