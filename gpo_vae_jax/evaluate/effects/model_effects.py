"""Average treatment effects of the model beside those of the data (docs/method.md 8.2)."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.effect_sources import OF_MODEL
from gpo_vae_jax.evaluate.effects import baselines
from gpo_vae_jax.evaluate.effects.conditional_effects import conditional_effects
from gpo_vae_jax.evaluate.effects.effect_metrics import effect_metrics
from gpo_vae_jax.evaluate.effects.observed_effects import (
    SCALE,
    TRANSFORMS,
    conditions_of_labels,
    effects_of,
    perturbations_of,
    split_sums,
    standard_errors_of,
)
from gpo_vae_jax.evaluate.effects.shrinkage import shrunk
from gpo_vae_jax.evaluate.results import Effects
from gpo_vae_jax.model.blocks import on_cpu
from gpo_vae_jax.model.precision import exact_products
from gpo_vae_jax.predict import sampling
from gpo_vae_jax.predict.conditions import Conditions, cut, with_control
from gpo_vae_jax.predict.sampling import Draw
from gpo_vae_jax.progress import bar as progress_bar
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Dataset, Params

_BLOCK = 64  # particles summed in float32 on the device before they join the sums in float64


def average_effects(
    params: Params,
    dataset: Dataset,
    settings: EvaluateConfig,
    *,
    spec: Spec,
    progress: bool = True,
) -> tuple[Effects, dict[str, dict]]:
    """Return the effects of every perturbation of the data, and their metrics.

    Args:
      params: of the model.
      dataset: the data that it was trained on.
      settings: of the evaluation.
      spec: sizes and settings of the model.
      progress: whether a bar is shown on standard error.

    Returns:
      The effects, and by transform, then by `reference` (all cells) and `held_out` (test cells),
      the metrics of each of `effect_sources.SOURCES`.
    """
    labels = perturbations_of(dataset)
    conditions = conditions_of_labels(dataset, labels)
    draw = Draw(
        settings.seed, settings.effect_particles, settings.library_size,
        memory_gib=settings.memory_gib,
    )  # fmt: skip
    fixed, spread = model_effects(params, conditions, draw, spec=spec, progress=progress)
    found = conditional_effects(
        params, dataset, labels, spec=spec, n_cells=settings.effect_cells, seed=settings.seed,
        memory_gib=settings.memory_gib, progress=progress,
    )  # fmt: skip
    halves = baselines.halves_of(dataset, labels, settings.seed)
    sums = {name: split_sums(dataset, name, labels) for name in ("val", "test")}
    sums["train"] = halves[0] + halves[1]
    mean, error = effects_of(sums["train"]), standard_errors_of(sums["train"])
    every = sums["train"] + sums["val"] + sums["test"]
    groups = [dataset.label_genes[label] for label in labels]
    effects = Effects(
        labels=labels,
        genes=dataset.genes,
        model=found.effects["network"],
        spread=spread,
        reference=effects_of(every),
        held_out=effects_of(sums["test"]),
        train_mean=mean,
        n_cells={name: groups.n_cells[:-1] for name, groups in sums.items()},
        network_depth=found.effects["network_depth"],
        own_cells=found.effects["own_cells"],
        fixed_library=fixed,
        additive={name: baselines.additive(mean[name], groups) for name in TRANSFORMS},
        knockdown=baselines.knockdown_only(dataset, labels, sums["train"]),
        observed_errors={
            "reference": standard_errors_of(every),
            "held_out": standard_errors_of(sums["test"]),
        },
        shrunk_mean={name: shrunk(mean[name], error[name]) for name in TRANSFORMS},
        errors={"model" if n == "network" else n: e for n, e in found.errors.items()},
    )
    return effects, metrics_of(effects, baselines.ceiling(halves), settings)


def monte_carlo_errors(effects: Effects) -> dict[str, float]:
    """Return by how much Monte-Carlo noise lowers Pearson r of each prediction (`perturbseq`).

    Noise of variance e^2 in predictions of variance v lowers r by the factor sqrt(1 - e^2 / v).
    What is returned is 1 minus that factor, an upper bound of the loss of r.
    """
    found = {}
    for source, by_transform in effects.errors.items():
        error = by_transform["perturbseq"]
        predicted = getattr(effects, source)["perturbseq"]
        known = np.isfinite(error) & np.isfinite(predicted)
        if known.sum() > 1 and (variance := float(predicted[known].var())) > 0:
            share = min(float(np.square(error[known]).mean()) / variance, 1.0)
            found[source] = 1 - math.sqrt(1 - share)
    return found


def metrics_of(
    effects: Effects, halves: baselines.Ceiling, settings: EvaluateConfig
) -> dict[str, dict]:
    """Compare the model and the baselines with the data, for perturbations with training cells.

    Args:
      effects: of the model, the data and the baselines.
      halves: effects in two halves of the training cells; their agreement is the ceiling.
      settings: of the evaluation.

    Returns:
      Metrics by transform, then by cells (`reference`, `held_out`), then by source.
    """
    found: dict[str, dict] = {}
    seen = effects.n_cells["train"] > 0  # the others are scored apart (`unseen`)
    compare = partial(effect_metrics, top=settings.top, top_sets=settings.top_sets)
    for transform in TRANSFORMS:
        found[transform] = {}
        sources = {
            source: getattr(effects, source)[transform][seen]
            for source in (*OF_MODEL, "train_mean", "shrunk_mean")
            if getattr(effects, source)
        }
        sources["global_mean"] = baselines.global_mean(effects.train_mean[transform])[seen]
        of_ceiling = compare(*(half[transform][seen] for half in halves[:2]),
                             error=halves.error[transform][seen])  # fmt: skip
        for name in ("reference", "held_out"):
            data = getattr(effects, name)[transform][seen]
            error = effects.observed_errors[name][transform][seen]
            found[transform][name] = {
                **{
                    source: compare(data, values, error=error) for source, values in sources.items()
                },
                "ceiling": of_ceiling,
            }
    return found


def model_effects(
    params: Params, conditions: Conditions, draw: Draw, *, spec: Spec, progress: bool = True
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the model's effect of each condition and its standard deviation over particles.

    Every condition is compared with the control of the same particle: they share M, E, qcE and
    z_basal, but not the noise of counts.

    Args:
      params: of the model.
      conditions: C perturbations, without the control.
      draw: what is drawn of each; `library_size` is one number.
      spec: sizes and settings of the model.
      progress: whether a bar is shown on standard error.

    Returns:
      Two dictionaries by transform of [C, G] float64.
    """
    spec = spec.of_model
    order = sampling.gene_order(params, draw, spec=spec)
    genes = jnp.asarray(order)
    step, width = sampling.chunk_sizes(with_control(conditions), draw.memory_gib, spec=spec)
    width = max(width, 2)
    shape = (len(TRANSFORMS), len(conditions.number), len(order))
    total, squares = np.zeros(shape), np.zeros(shape)
    parts = list(cut(conditions, min(width - 1, shape[1])))
    starts = range(0, draw.n_particles, _BLOCK)
    n_draws = draw.n_particles * len(parts)
    with progress_bar(n_draws, "particle", label="effects", shown=progress) as bar:
        for part, which in parts:
            new = int((which == np.arange(which[0], which[0] + len(which))).sum())
            at = slice(which[0], which[0] + new)
            for start in starts:
                stop = min(start + _BLOCK, draw.n_particles)
                sums = _block_sums(
                    params, with_control(part), start, stop,
                    jnp.float32(draw.library_size), draw.seed, genes,
                    step=step, failed=draw.failed, spec=spec,
                    n_chunks=None if on_cpu() else -(-(stop - start) // step),
                )  # fmt: skip
                both = np.asarray(sums)[:, :, :new]
                total[:, at] += both[0]
                squares[:, at] += both[1]
                bar.update(stop - start)
    back, n = np.argsort(order), draw.n_particles
    mean = total / n
    spread = np.sqrt(np.maximum(squares - n * mean**2, 0) / max(n - 1, 1))
    return (
        {name: mean[i][:, back] for i, name in enumerate(TRANSFORMS)},
        {name: spread[i][:, back] for i, name in enumerate(TRANSFORMS)},
    )


@partial(jax.jit, static_argnames=("step", "failed", "spec", "n_chunks"))
@exact_products
def _block_sums(
    params: Params,
    conditions: Conditions,
    start: Array,
    stop: Array,
    library_size: Array,
    seed: Array,
    genes: Array,
    *,
    step: int,
    failed: bool,
    spec: Spec,
    n_chunks: int | None = None,
) -> Array:
    """Sum (x - control) and its square over particles start..stop, [2, transforms, C, G].

    Particles are drawn `step` at a time and added one by one, so `step` changes no number. The
    control is the last condition. With `n_chunks` the program knows beforehand how often it draws:
    a GPU then need not tell the host, and the last block has a program of its own.
    """
    n_conditions = len(conditions.number)
    library = jnp.full((step, n_conditions), library_size)

    def chunk(state: tuple[Array, Array]) -> tuple[Array, Array]:
        first, sums = state
        particles = first + jnp.arange(step)
        counts = sampling.values_of(
            params, conditions, particles, library, seed, genes,
            spec=spec, failed=failed, expected=False,
        )  # fmt: skip

        def add(i: Array, sums: Array) -> Array:
            both = jnp.stack([_perturbseq(counts[i]), counts[i]])
            change = both[:, :-1] - both[:, -1:]
            change = jnp.where(particles[i] < stop, change, 0)
            return sums + jnp.stack([change, jnp.square(change)])

        return first + step, jax.lax.fori_loop(0, step, add, sums)

    zeros = jnp.zeros((2, len(TRANSFORMS), n_conditions - 1, len(genes)))
    if n_chunks is None:
        return jax.lax.while_loop(lambda state: state[0] < stop, chunk, (start, zeros))[1]
    return jax.lax.fori_loop(0, n_chunks, lambda _, state: chunk(state), (start, zeros))[1]


def _perturbseq(counts: Array) -> Array:
    """Scale each cell, [C, G], to 10,000 counts and take log2(1 + x)."""
    counts = jnp.maximum(counts, 0)  # the normal heads draw values below 0
    total = counts.sum(-1, keepdims=True)
    return jnp.log2(1 + counts * jnp.where(total > 0, SCALE / total, 0))
