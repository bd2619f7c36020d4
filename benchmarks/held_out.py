"""Measure the prediction of perturbations that no training cell carries, beside its baselines.

    python -m benchmarks.held_out --quick     (a small simulation, a minute)
    python -m benchmarks.held_out     (four scenarios, five seeds)
    python -m benchmarks.held_out --scenarios --data tapseq=RAW.h5ad     (a screen of your own)

Every seed has a simulation of its own, and holds out other perturbations; a file is split anew by
every seed. What is held out and how it is scored is the library's own (docs/evaluation.md). Skill
is judged over the perturbations of all seeds together.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata
import jax
import numpy as np

from benchmarks.accuracy import QUICK, SIMULATIONS
from benchmarks.measuring import options, results_file
from benchmarks.measuring.summary import to_stderr
from gpo_vae_jax import data, presets
from gpo_vae_jax.compilation_cache import use_compilation_cache
from gpo_vae_jax.config import Config, EvaluateConfig
from gpo_vae_jax.evaluate.effect_sources import UNSEEN_SOURCES
from gpo_vae_jax.evaluate.effects.model_effects import average_effects
from gpo_vae_jax.evaluate.effects.unseen import others_of, unseen_kinds, unseen_metrics
from gpo_vae_jax.train.training import train

SCENARIOS = {  # the rule that holds out, and the simulation
    "genes": ("by_perturbation", "simulation 0"),
    "combinations": ("by_combination", "doubles"),
    "saturating combinations": ("by_combination", "saturation"),
    "gears": ("gears", "doubles"),
}
DOUBLES = 0.3  # share of perturbed cells with two perturbations, but for the first scenario
METRICS = ("pearson", "r2", "pearson_others", "rank", "de_overlap")
KEY = ("data", "rule", "seed")
FEW = EvaluateConfig(effect_particles=500)  # of the published protocol, which is not reported


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every run that is not there yet."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--scenarios", nargs="*", default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--data", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--rule", default="by_perturbation", help="of --data")
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(10, 15)))
    args = parser.parse_args(arguments)
    use_compilation_cache()
    folder = results_file.folder_of(args)
    if args.quick:
        args.scenarios, args.seeds = args.scenarios[:1], [10]
    wanted = [(name, SCENARIOS[name][0], None) for name in args.scenarios]
    wanted += [
        (name, args.rule, Path(path)) for name, _, path in (d.partition("=") for d in args.data)
    ]
    for name, rule, path in wanted:
        for seed in args.seeds:
            known = results_file.read(folder, "held_out")
            if results_file.find(known, data=name, rule=rule, seed=seed):
                continue
            to_stderr(f"{name}, seed {seed}")
            jax.clear_caches()
            config = config_of(None if path else name, rule, seed, args.quick)
            raw = data.read_h5ad(path) if path else data.simulate(config.simulate)
            entry = {"data": name, "rule": rule, "seed": seed, **measure(raw, config)}
            results_file.add(folder, "held_out", entry, KEY)


def config_of(scenario: str | None, rule: str, seed: int, quick: bool) -> Config:
    """Return the settings of a scenario; without one, those of a file of one's own."""
    config = presets.demo() if scenario else presets.anndata()
    if scenario:
        changes: dict[str, Any] = {**SIMULATIONS[SCENARIOS[scenario][1]], "seed": seed}
        changes |= {"double_fraction": 0.0 if scenario == "genes" else DOUBLES}
        changes |= QUICK if quick else {}
        config = dataclasses.replace(
            config, simulate=dataclasses.replace(config.simulate, **changes)
        )
    return dataclasses.replace(
        config,
        prepare=dataclasses.replace(config.prepare, seed=seed, split=rule),
        train=dataclasses.replace(config.train, max_epochs=5 if quick else 0),
    )


def measure(raw: anndata.AnnData, config: Config) -> dict[str, Any]:
    """Train without the held-out perturbations, and score their test cells by kind."""
    dataset = data.from_anndata(data.prepare(raw, config.prepare, guess=True))
    start = time.perf_counter()
    trained = train(dataset, config, seeds=0)
    train_s = round(time.perf_counter() - start, 1)
    effects, _ = average_effects(trained.params, dataset, FEW, spec=trained.spec, progress=False)
    kinds = np.array(unseen_kinds(effects, dataset.label_genes), dtype=object)
    others = {
        source: others_of(effects, source, dataset.label_genes)
        for source in ("model", "global_mean", "additive", "knockdown")
    }
    found = {}
    for kind, scores in unseen_metrics(effects, dataset, FEW).items():
        at = (kinds == kind) & (effects.n_cells["test"] > 0)
        found[kind] = {
            "n": scores["n_perturbations"],
            "scores": {
                source: {name: _rounded(scores[source][name]) for name in METRICS}
                for source in UNSEEN_SOURCES
                if source in scores and source != "fixed_library"
            },
            "others": {
                source: [_rounded(r) for r in values[at]] for source, values in others.items()
            },
        }
    found.pop("all", None)
    return {"train_s": train_s, "kinds": found}


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


if __name__ == "__main__":
    main()
