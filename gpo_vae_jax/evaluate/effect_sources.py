"""What effects are predicted from, on which cells, and how counts are transformed: in words."""

from __future__ import annotations

SOURCES = {  # what effects are predicted from, in the order they are shown
    "model": "network",
    "network_depth": "network, own depth",
    "own_cells": "own cells",
    "fixed_library": "fixed library",
    "train_mean": "training mean",
    "shrunk_mean": "shrunk mean",
    "global_mean": "global mean",
    "ceiling": "half vs half",
}
UNSEEN_SOURCES = {  # the same for perturbations without training cells
    "model": "network",
    "fixed_library": "fixed library",
    "global_mean": "global mean",
    "additive": "additive",
    "knockdown": "knock-down only",
    "ceiling": "half vs half",
}
UNSEEN_BASELINES = ("global_mean", "additive", "knockdown")
UNSEEN_PREDICTIONS = ("model", "fixed_library", *UNSEEN_BASELINES)
UNSEEN = {  # what training has seen of a perturbation without training cells: one, many
    "gene": ("gene that no training cell perturbs", "genes that no training cell perturbs"),
    "gene_in_combinations": (
        "gene that training cells perturb in combinations only",
        "genes that training cells perturb in combinations only",
    ),
    "combination_all_seen": (
        "unseen combination of seen genes",
        "unseen combinations of seen genes",
    ),
    "combination_part_seen": (
        "unseen combination with an unseen gene",
        "unseen combinations with an unseen gene",
    ),
    "combination_none_seen": (
        "combination of unseen genes",
        "combinations of unseen genes",
    ),
    "all": ("unseen perturbation", "unseen perturbations"),
}
OF_MODEL = ("model", "network_depth", "own_cells", "fixed_library")
PREDICTIONS = tuple(source for source in SOURCES if source != "ceiling")  # which predicts nothing
CELLS = {"held_out": "test cells", "reference": "all cells"}
TRANSFORMS = {"perturbseq": "log2(1 + counts per 10,000)", "mean": "counts"}
CONTEXT = {  # parts of a number's path in words
    **SOURCES,
    **UNSEEN_SOURCES,
    **CELLS,
    "mean": "in counts",
    "block": "perturbed genes",
    "all": "all genes",
    "known_networks": "known networks",
    "truth": "true network",
    "matched_mask": "columns matched",
    "upstream": "as the original computes it",
    "calibration": "calls at the expected FDR",
    "probability": "probability",
    "posterior": "calibrated probability",
    "rankings": "ranking of pairs by",
    "fold_change": "|log fold change|",
    "z": "|z|",
    "ridge": "ridge deconvolution",
    "unseen": "not in training",
    "skill": "model against the best baseline",
}
WARN_ABOVE = 0.8  # share of the probabilities' variance that one end of an edge explains
