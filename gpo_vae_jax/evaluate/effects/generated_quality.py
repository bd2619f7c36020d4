"""The share of cells drawn as good that pass the data's quality control (docs/method.md 8.3)."""

from __future__ import annotations

import numpy as np

from gpo_vae_jax import data
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effects.observed_effects import conditions_of_labels
from gpo_vae_jax.predict import sampling
from gpo_vae_jax.predict.library_sizes import observed_library_sizes
from gpo_vae_jax.predict.sampling import Draw
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Dataset, Params


def quality_ratio(
    params: Params, dataset: Dataset, settings: EvaluateConfig, *, spec: Spec
) -> dict[str, dict[str, float]]:
    """Return the share of drawn cells within the data's limits, by library sizes, then by MADs.

    `settings.quality_cells` good cells are drawn for each perturbation of the training cells: at
    library size `settings.library_size` ("reference"), and at library sizes drawn with replacement
    from good training cells ("observed"). Limits are named by their MADs ("3", "4", "5"). Doublets
    are not considered. Empty where the data has no limits.
    """
    conventions = dataset.conventions
    limits = {mads: by for mads, by in conventions.quality_limits.items() if by}
    labels = np.unique(dataset.labels["train"])
    labels = [str(label) for label in labels if label != conventions.control]
    if not limits or not labels:
        return {}
    conditions = conditions_of_labels(dataset, labels)
    shape = (settings.quality_cells, len(labels))
    sizes = {
        "reference": settings.library_size,
        "observed": observed_library_sizes(dataset, shape, settings.seed),
    }
    symbols = conventions.symbols or dataset.genes
    shares = {}
    for name, library_size in sizes.items():
        draw = Draw(
            settings.seed, settings.quality_cells, library_size, memory_gib=settings.memory_gib
        )
        passed = dict.fromkeys(limits, 0)
        for chunk in sampling.draw_cells(params, conditions, draw, spec=spec):
            counts = np.rint(np.maximum(chunk.values, 0)).reshape(-1, len(symbols))
            for mads, good in data.passed_by_limits(counts, symbols, limits).items():
                passed[mads] += int(good.sum())
        shares[name] = {mads: n / (shape[0] * shape[1]) for mads, n in passed.items()}
    return shares
