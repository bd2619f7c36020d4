"""Sizes that are chosen from the data where the settings leave them open."""

from __future__ import annotations

import dataclasses
import math

from gpo_vae_jax.config import Config
from gpo_vae_jax.types import Dataset

_STEPS = 4000  # of a training: enough for the network to settle in simulations and on a real screen
_EPOCHS = (20, 100)  # fewest and most


def with_sizes(config: Config, dataset: Dataset) -> tuple[Config, dict[str, int]]:
    """Return the settings with every open size chosen, and what was chosen by name.

    A size is open where it is 0: model.n_latent, the widths of the cell encoder and the decoder,
    train.batch_size and train.max_epochs. Many cells get larger batches and fewer epochs, so that a
    training takes about as many steps on any screen.
    """
    cells, genes = len(dataset.splits["train"].cells.weight), len(dataset.genes)
    batch = 1 << round(math.log2(min(max(cells / 64, 128), 512)))
    batch = config.train.batch_size or batch
    steps = math.ceil(cells / min(batch, cells))
    wide = 128 if genes <= 2000 else 256
    choices = {
        "model": {"n_latent": 20, "basal_encoder_n_hidden": wide, "decoder_n_hidden": 128},
        "train": {
            "batch_size": batch,
            "max_epochs": min(max(math.ceil(_STEPS / steps), _EPOCHS[0]), _EPOCHS[1]),
        },
    }
    chosen: dict[str, int] = {}
    for group, values in choices.items():
        settings = getattr(config, group)
        open_ = {name: value for name, value in values.items() if not getattr(settings, name)}
        chosen |= {f"{group}.{name}": value for name, value in open_.items()}
        config = dataclasses.replace(config, **{group: dataclasses.replace(settings, **open_)})
    return config, chosen
