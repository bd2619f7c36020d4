r"""Train on anybody's AnnData of raw counts with a perturbation column.

    python scripts/prepare.py --config=configs/anndata.py --input RAW.h5ad --output PREPARED.h5ad
    python scripts/train.py --config=configs/anndata.py --config.data.path=PREPARED.h5ad \
        --workdir=runs/mine

The perturbation column is `perturbation` with `non-targeting` controls; others are named by
`--config.prepare.perturbation_key=gene --config.prepare.control=ctrl`, or found where exactly one
of the well-known conventions fits. docs/data.md describes both files.

Expected time: measured in README.md for one real data set.
Expected result: a falling validation loss, and edges to export with scripts/export_grn.py.
"""

import dataclasses

from configs import base
from gpo_vae_jax.config import PrepareConfig
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the published settings of the model; preparation by the cells' names."""
    return to_config_dict(
        dataclasses.replace(base.published(), name="anndata", prepare=PrepareConfig())
    )
