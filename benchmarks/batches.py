"""Measure what telling the model the batch of each cell does for the effects that it predicts.

    python -m benchmarks.batches --quick     (one small simulation, a minute)
    python -m benchmarks.batches     (two scenarios, three seeds)

The same screen is simulated with and without batch effects: the effects in all cells of the second
are the truth. Of each perturbation, 70 % of the cells are in one batch; controls are in all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax

from benchmarks.accuracy import QUICK
from benchmarks.measuring import options, results_file
from benchmarks.measuring.summary import to_stderr
from gpo_vae_jax import data, presets
from gpo_vae_jax.compilation_cache import use_compilation_cache
from gpo_vae_jax.config import Config, EvaluateConfig
from gpo_vae_jax.evaluate.effects.effect_scores import pearson_r
from gpo_vae_jax.evaluate.effects.model_effects import average_effects
from gpo_vae_jax.evaluate.effects.observed_effects import effects_of, split_sums
from gpo_vae_jax.train.training import train

SCENARIOS = {"batch effects": 0.3, "no batch effects": 0.0}
KEYS = {"without": "", "with": "batch"}  # the batch_key
BATCHES, IMBALANCE = 4, 0.7
SOURCES = ("model", "own_cells", "train_mean", "shrunk_mean")
KEY = ("data", "seed")
FEW = EvaluateConfig(effect_particles=100)  # of the published protocol, which is not reported


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every run that is not there yet."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--scenarios", nargs="*", default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(10, 13)))
    args = parser.parse_args(arguments)
    use_compilation_cache()
    folder = results_file.folder_of(args)
    if args.quick:
        args.scenarios, args.seeds = args.scenarios[:1], [10]
    for name in args.scenarios:
        for seed in args.seeds:
            if results_file.find(results_file.read(folder, "batches"), data=name, seed=seed):
                continue
            to_stderr(f"{name}, seed {seed}")
            jax.clear_caches()
            entry = {"data": name, "seed": seed, **measure(config_of(name, seed, args.quick))}
            results_file.add(folder, "batches", entry, KEY)


def config_of(name: str, seed: int, quick: bool) -> Config:
    """Return the settings of a scenario."""
    config = presets.demo()
    changes: dict[str, Any] = {"seed": seed, "n_batches": BATCHES, "batch_imbalance": IMBALANCE}
    changes |= {"batch_effect": SCENARIOS[name], **(QUICK if quick else {})}
    return dataclasses.replace(
        config,
        simulate=dataclasses.replace(config.simulate, **changes),
        train=dataclasses.replace(config.train, max_epochs=5 if quick else 0),
    )


def measure(config: Config) -> dict[str, Any]:
    """Return Pearson r with the true effects, and with those of test cells, by `batch_key`."""
    raw = data.simulate(config.simulate)
    clean = data.simulate(dataclasses.replace(config.simulate, batch_effect=0.0))
    truth = data.from_anndata(data.prepare(clean, config.prepare))
    found: dict[str, Any] = {}
    for name, key in KEYS.items():
        prepare = dataclasses.replace(config.prepare, batch_key=key)
        dataset = data.from_anndata(data.prepare(raw, prepare))
        trained = train(dataset, config, seeds=0)
        effects, metrics = average_effects(
            trained.params, dataset, FEW, spec=trained.spec, progress=False
        )
        train_, val, test = (split_sums(truth, part, effects.labels) for part in truth.splits)
        true = effects_of(train_ + val + test)["perturbseq"]
        true = true[:, [truth.genes.index(gene) for gene in dataset.genes]]
        held_out = metrics["perturbseq"]["held_out"]
        found[name] = {
            source: {
                "true": round(pearson_r(true, getattr(effects, source)["perturbseq"], 0), 4),
                "held_out": round(held_out[source]["pearson"], 4),
            }
            for source in SOURCES
        }
    return found


if __name__ == "__main__":
    main()
