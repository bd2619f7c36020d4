"""Train on your own AnnData: raw counts and a column that names each cell's perturbation.

    gpo-vae prepare --config=configs/anndata.py --input=RAW.h5ad --output=PREPARED.h5ad
    gpo-vae train --config=configs/anndata.py --data.path=PREPARED.h5ad --workdir=runs/mine

The perturbation column is `perturbation` and the control label `non-targeting`. Set others by
`--prepare.perturbation_key=gene --prepare.control=ctrl`; if exactly one of the well-known
conventions fits, it is found without settings. docs/data.md describes both files.

Expected result: a falling validation loss, and a network to export with `gpo-vae export-grn`.
"""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the preset `anndata`: the accurate model, its sizes chosen from the data."""
    return to_config_dict(presets.anndata())
