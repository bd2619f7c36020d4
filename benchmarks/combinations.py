"""Measure the prediction of unseen combinations beside adding up the effects of single genes.

    python -m benchmarks.combinations --quick     (a small simulation, a minute)
    python -m benchmarks.combinations     (linear and saturating responses, five seeds)

Every seed has a simulation of its own, in which 30 % of the perturbed cells have two perturbations.
Every second pair is held out: none of its cells is trained on or validated. The additive baseline
is the sum of both perturbations' mean effects in training cells.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import anndata
import jax
import numpy as np

from benchmarks.accuracy import QUICK, SIMULATIONS
from benchmarks.measuring import options, results_file
from benchmarks.measuring.summary import to_stderr
from gpo_vae_jax import data, presets
from gpo_vae_jax.compilation_cache import use_compilation_cache
from gpo_vae_jax.config import Config
from gpo_vae_jax.evaluate.effects.conditional_effects import conditional_effects
from gpo_vae_jax.evaluate.effects.effect_scores import pearson_r, r_squared
from gpo_vae_jax.evaluate.effects.observed_effects import effects_of, perturbations_of, split_sums
from gpo_vae_jax.train.training import train
from gpo_vae_jax.types import Dataset

SCENARIOS = ("doubles", "saturation")
DOUBLES, JOIN = 0.3, "+"
KEY = ("data", "seed")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every run that is not there yet."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--scenarios", nargs="*", default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(10, 15)))
    args = parser.parse_args(arguments)
    use_compilation_cache()
    folder = results_file.folder_of(args)
    if args.quick:
        args.scenarios, args.seeds = SCENARIOS[:1], [10]
    for name in args.scenarios:
        for seed in args.seeds:
            if results_file.find(results_file.read(folder, "combinations"), data=name, seed=seed):
                continue
            to_stderr(f"{name}, seed {seed}")
            jax.clear_caches()
            entry = {"data": name, "seed": seed, **measure(config_of(name, seed, args.quick))}
            results_file.add(folder, "combinations", entry, KEY)


def config_of(name: str, seed: int, quick: bool) -> Config:
    """Return the settings of a scenario, one of `benchmarks.accuracy.SIMULATIONS`."""
    config = presets.demo()
    changes = {**SIMULATIONS[name], "double_fraction": DOUBLES, "seed": seed}
    changes |= QUICK if quick else {}
    return dataclasses.replace(
        config,
        simulate=dataclasses.replace(config.simulate, **changes),
        prepare=dataclasses.replace(config.prepare, seed=seed),
        train=dataclasses.replace(config.train, max_epochs=5 if quick else 0),
    )


def measure(config: Config) -> dict[str, Any]:
    """Train without the held-out pairs; score their test cells, and those of other pairs."""
    prepared = data.prepare(data.simulate(config.simulate), config.prepare)
    held_out = hold_out(prepared)
    dataset = data.from_anndata(prepared)
    start = time.perf_counter()
    trained = train(dataset, config, seeds=config.simulate.seed)
    train_s = round(time.perf_counter() - start, 1)
    labels = perturbations_of(dataset)
    observed = effects_of(split_sums(dataset, "test", labels))["perturbseq"]
    mean = effects_of(split_sums(dataset, "train", labels))["perturbseq"]
    found = conditional_effects(trained.params, dataset, labels, spec=trained.spec)
    predicted = {
        "network": found.effects["network"]["perturbseq"],
        "additive": added_up(dataset, labels, mean),
        "train_mean": mean,
    }
    tested = np.flatnonzero(np.isfinite(observed).all(axis=1))
    pairs = {
        "unseen": [i for i in tested if labels[i] in held_out],
        "seen": [i for i in tested if JOIN in labels[i] and labels[i] not in held_out],
    }
    scores = {
        name: {
            source: {"r": pearson_r(*both, 0), "r2": r_squared(*both, 0)}
            for source, effects in predicted.items()
            for both in [(observed[rows], effects[rows])]
            if np.isfinite(both[1]).all()
        }
        for name, rows in pairs.items()
    }
    return {"train_s": train_s, "n_pairs": {k: len(v) for k, v in pairs.items()}, **scores}


def hold_out(prepared: anndata.AnnData) -> set[str]:
    """Move all cells of every second pair to the test cells; return the pairs."""
    perturbation = prepared.obs["perturbation"].astype(str)
    pairs = sorted(label for label in set(perturbation) if JOIN in label)
    held_out = set(pairs[::2])
    split = prepared.obs["split"].astype(str)
    prepared.obs["split"] = np.where(perturbation.isin(held_out), "test", split)
    return held_out


def added_up(dataset: Dataset, labels: Sequence[str], mean: np.ndarray) -> np.ndarray:
    """Return the sum of the single perturbations' mean effects for every label, [C, G]."""
    at = {dataset.label_genes[label]: i for i, label in enumerate(labels)}
    return np.stack([
        np.sum([mean[at[(gene,)]] for gene in dataset.label_genes[label]], axis=0)
        for label in labels
    ])  # fmt: skip


if __name__ == "__main__":
    main()
