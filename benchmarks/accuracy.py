"""Measure how well variants of the model predict and find networks, beside baselines.

    python -m benchmarks.accuracy --quick     (one small simulation, a minute)
    python -m benchmarks.accuracy     (three simulations, five seeds)
    python -m benchmarks.accuracy --simulations cycles hidden --fresh     (or all, but for large)
    python -m benchmarks.accuracy --data tapseq=PREPARED.h5ad --variants accurate published
    python -m benchmarks.accuracy --test     (test cells; once, when nothing is chosen any more)

Every run is an entry of benchmarks/results/accuracy.json. A run that is there is not repeated, so
an interrupted measurement goes on where it stopped. Variants are compared on validation cells; with
--test the same runs are scored on test cells. With --fresh each seed has a simulation and a split
of its own, the same for all variants, so that the spread over seeds includes the data; files stay.
Scenarios of one size share a seed's network, labels and depths, but for what a scenario changes.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.measuring import options, results_file
from benchmarks.measuring.summary import to_stderr
from gpo_vae_jax import data, presets
from gpo_vae_jax.compilation_cache import use_compilation_cache
from gpo_vae_jax.config import Config, DataConfig, EvaluateConfig
from gpo_vae_jax.evaluate.effects.conditional_effects import conditional_effects
from gpo_vae_jax.evaluate.effects.effect_scores import pearson_r, r_squared
from gpo_vae_jax.evaluate.effects.model_effects import model_effects
from gpo_vae_jax.evaluate.effects.observed_effects import (
    conditions_of_labels,
    effects_of,
    perturbations_of,
    split_sums,
    standard_errors_of,
)
from gpo_vae_jax.evaluate.effects.shrinkage import shrunk
from gpo_vae_jax.evaluate.network.baseline_rankings import baseline_rankings
from gpo_vae_jax.evaluate.network.calibration import calls_of
from gpo_vae_jax.evaluate.network.edges import edge_probabilities, edge_strengths
from gpo_vae_jax.evaluate.network.latents import mask_statistics
from gpo_vae_jax.evaluate.network.recovery import judged_pairs, recovery
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo_of_split
from gpo_vae_jax.model.trained import Trained
from gpo_vae_jax.predict.sampling import Draw
from gpo_vae_jax.statistics.pair_changes import pair_changes
from gpo_vae_jax.train.training import train
from gpo_vae_jax.types import Dataset

Changes = Mapping[str, Mapping[str, Any]]
KEY = ("data", "variant", "seed", "cells", "data_seed")
SIMULATIONS: Mapping[str, Mapping[str, Any]] = {  # changes of the demo's simulation
    **{f"simulation {seed}": {"seed": seed} for seed in range(3)},
    "cycles": {"cycles": 0.2},
    "saturation": {"saturation": 1.0},
    "cycles and saturation": {"cycles": 0.2, "saturation": 1.0},
    "hidden": {"n_hidden": 10},
    "escape": {"escape_fraction": 0.3},
    "batches": {"n_batches": 4, "batch_effect": 0.3},
    "5 % failed": {"fail_fraction": 0.05},
    "30 % failed": {"fail_fraction": 0.3},
    "doubles": {"double_fraction": 0.3},
    "500 genes": {"n_perturbed": 200, "n_extended": 300, "n_genes": 1000, "n_cells": 30_000},
}
USUAL = ("simulation 0", "simulation 1", "simulation 2")
LARGE = ("500 genes",)  # only by name
FRESH_SEEDS = 100  # seeds of fresh data between those of `simulation 0` and of `simulation 1`
QUICK = {"n_cells": 1200, "n_genes": 40, "n_perturbed": 20, "n_extended": 10}
VARIANTS: Mapping[str, Changes] = {  # changes of the preset `accurate`
    "accurate": {},
    "random start": {"model": {"effect_init": "random"}},
    "no invariance": {"objective": {"invariance_coeff": 0.0}},
    "no propagation": {"model": {"propagate": 0}},
    "15 steps": {"model": {"propagate": 15}},
    "8 particles": {"train": {"n_particles": 8, "network_samples": 8}},
    "one network a batch": {"train": {"network_samples": 1}},
    "no escape": {"model": {"escape_prior": 0.0}},
    "200 epochs": {"train": {"max_epochs": 200}},
}
PUBLISHED = "published"  # another model: of the demo's sizes up to version 0.1


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every run that is not there yet."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--data", nargs="*", default=[], metavar="NAME=FILE",
                        help="prepared files; {seed} in FILE: one for each seed")  # fmt: skip
    parser.add_argument("--simulations", nargs="*", metavar="NAME",
                        help=f"all, or of {', '.join(SIMULATIONS)}".replace("%", "%%"))  # fmt: skip
    parser.add_argument(
        "--fresh", action="store_true", help="simulate anew for each seed; files stay"
    )
    parser.add_argument("--variants", nargs="*", default=["accurate", PUBLISHED], metavar="NAME")
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(5)))
    parser.add_argument("--test", action="store_true", help="score test cells")
    args = parser.parse_args(arguments)
    use_compilation_cache()
    folder, cells = results_file.folder_of(args), "test" if args.test else "val"
    names = args.simulations
    if args.quick:
        names, args.variants, args.seeds = names or USUAL[:1], ["accurate"], [0]
    wanted = {name: None for name in chosen(names)}
    wanted |= {name: file for name, _, file in (text.partition("=") for text in args.data)}
    source, dataset = None, None
    for (name, file), seed, variant in itertools.product(wanted.items(), args.seeds, args.variants):
        path = None if file is None else Path(file.format(seed=seed))
        config = config_of(variant, name, path, seed if args.fresh else None, quick=args.quick)
        entry = {"data": name, "variant": variant, "seed": seed, "cells": cells}
        if file is None:
            entry["data_seed"] = config.simulate.seed if args.fresh else None
        else:
            entry["data_seed"] = seed if "{seed}" in file else None
        if results_file.find(results_file.read(folder, "accuracy"), **entry):
            continue
        if dataset is None or source != (config.data, config.simulate, config.prepare):
            source = config.data, config.simulate, config.prepare
            jax.clear_caches()  # each has its own programs: 20 of them exceed a process's mappings
            dataset = data.from_config(config)
        to_stderr(f"{name}, {variant}, seed {seed}")
        start = time.perf_counter()
        trained = train(dataset, config, seeds=seed)
        entry["train_s"] = round(time.perf_counter() - start, 1)
        entry |= scores(trained, dataset, cells)
        results_file.add(folder, "accuracy", entry, KEY)


def chosen(names: Sequence[str] | None) -> Sequence[str]:
    """Return the names of simulations: the usual ones by default; "all" leaves out large ones."""
    if names is None:
        return USUAL
    return [
        name
        for given in names
        for name in ([n for n in SIMULATIONS if n not in LARGE] if given == "all" else [given])
    ]


def config_of(
    variant: str, name: str, file: Path | None, fresh: int | None = None, *, quick: bool = False
) -> Config:
    """Return the settings of a variant on some data.

    Args:
      variant: a name of VARIANTS, or PUBLISHED.
      name: a name of SIMULATIONS, unless there is a file.
      file: a prepared file.
      fresh: a seed that is to have a simulation and a split of its own.
      quick: make the data small and the training short.

    Raises:
      SystemExit: there is no such variant or simulation.
    """
    if variant not in (*VARIANTS, PUBLISHED):
        raise SystemExit(f"no variant {variant!r}; there are {', '.join((*VARIANTS, PUBLISHED))}")
    if file is None and name not in SIMULATIONS:
        raise SystemExit(f"no simulation {name!r}; there are {', '.join(SIMULATIONS)}")
    config = presets.demo()
    if variant == PUBLISHED:
        config = as_published(config)
    for group, values in VARIANTS.get(variant, {}).items():
        changed = dataclasses.replace(getattr(config, group), **values)
        config = dataclasses.replace(config, **{group: changed})
    if file is not None:
        return dataclasses.replace(config, data=DataConfig(path=str(file)))
    simulate = dataclasses.replace(config.simulate, **SIMULATIONS[name])
    prepare = config.prepare
    if fresh is not None:
        simulate = dataclasses.replace(simulate, seed=FRESH_SEEDS * simulate.seed + fresh)
        prepare = dataclasses.replace(prepare, seed=simulate.seed)
    if quick:
        simulate = dataclasses.replace(simulate, **QUICK)
        short = dataclasses.replace(config.train, max_epochs=5)
        config = dataclasses.replace(config, train=short)
    return dataclasses.replace(config, simulate=simulate, prepare=prepare)


def as_published(config: Config) -> Config:
    """Return the published model at sizes for small data, with the paper's objective."""
    published = presets.published()
    return dataclasses.replace(
        config,
        model=dataclasses.replace(
            published.model,
            n_latent=20,
            basal_encoder_n_hidden=64,
            embedding_encoder_n_hidden=64,
            decoder_n_hidden=64,
        ),
        objective=dataclasses.replace(published.objective, fc_criteria=0.8),
        train=dataclasses.replace(
            published.train, batch_size=256, n_particles=2, max_epochs=100, learning_rate=2e-3
        ),
    )


def scores(trained: Trained, dataset: Dataset, cells: str) -> dict[str, Any]:
    """Score one trained model and the baselines on some cells, and against the truth."""
    labels, seed = perturbations_of(dataset), trained.best.seed
    training = split_sums(dataset, "train", labels)
    observed = effects_of(split_sums(dataset, cells, labels))["perturbseq"]
    mean = effects_of(training)["perturbseq"]
    found = conditional_effects(trained.params, dataset, labels, spec=trained.spec, seed=seed)
    draw = Draw(seed, EvaluateConfig().effect_particles)
    fixed, _ = model_effects(
        trained.params, conditions_of_labels(dataset, labels), draw, spec=trained.spec,
        progress=False,
    )  # fmt: skip
    predicted = {name: of["perturbseq"] for name, of in found.effects.items()}
    predicted |= {
        "fixed_library": fixed["perturbseq"],
        "train_mean": mean,
        "shrunk_mean": shrunk(mean, standard_errors_of(training)["perturbseq"]),
    }
    bound = predictive_iwelbo_of_split(
        trained.params, dataset.splits[cells], spec=trained.spec, seed=seed
    )
    return {
        "r": {name: pearson_r(observed, effects, 0) for name, effects in predicted.items()},
        "r2": {name: r_squared(observed, effects, 0) for name, effects in predicted.items()},
        "iwelbo": float(bound.mean()),
        "network": network_scores(trained, dataset, seed),
    }


def network_scores(trained: Trained, dataset: Dataset, seed: int) -> dict[str, Any] | None:
    """Return AUPRC of the network and of rankings without a model, and the calls' precision."""
    truth, n = dataset.true_network, dataset.n_perturbed
    if truth is None:
        return None
    strengths = edge_strengths(trained.params, spec=trained.spec)
    probabilities = edge_probabilities(trained.params, spec=trained.spec)
    rankings = {
        "model": strengths,
        "probability": probabilities,
        **baseline_rankings(*pair_changes(dataset), seed=seed),
    }
    counted = judged_pairs(len(truth), n)[:n]
    called, true = (probabilities[:n] > 0.5) & counted, (np.asarray(truth)[:n] != 0) & counted
    return {
        "auprc": {name: recovery(of, truth, n).auprc for name, of in rankings.items()},
        "n_called": int(called.sum()),
        **mask_statistics(true, called),
        "fdr": fdr_scores(trained, true),
    }


def fdr_scores(trained: Trained, true: np.ndarray) -> dict[str, Any]:
    """Return number, expected and true precision, and recall of calls at an expected FDR of 0.1.

    Args:
      trained: the model.
      true: [R, T] bool, the true edges of perturbed genes.
    """
    calls = calls_of(trained.params, EvaluateConfig().fdr, spec=trained.spec)
    of_calls = mask_statistics(true, calls.called[: len(true)])
    return {
        "n_called": calls.n_called,
        "stated_precision": calls.stated_precision,
        "precision": of_calls["precision"],
        "recall": of_calls["recall"],
    }


if __name__ == "__main__":
    main()
