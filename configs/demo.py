"""Train on simulated cells whose network is known: the first thing to run.

    gpo-vae train --config=configs/demo.py --workdir=runs/demo

Expected time: half a minute on two CPU cores; the epochs take 16 to 19 seconds, of which 11 to 13
compile.
Expected result: the edges of the simulated network rank clearly above chance among the
probabilities in runs/demo/grn.csv (`gpo-vae evaluate` prints the area under the precision-recall
curve).
"""

from gpo_vae_jax import presets
from gpo_vae_jax.config_io import to_config_dict


def get_config():
    """Return the preset `demo`: small sizes, everything else as published."""
    return to_config_dict(presets.demo())
