"""The accurate model, as in configs/anndata.py, which describes the files and the commands.

gpo-vae train --config=configs/accurate.py --data.path=PREPARED.h5ad --workdir=runs/mine
"""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the preset `accurate`: the accurate model, its sizes chosen from the data."""
    return to_config_dict(presets.accurate())
