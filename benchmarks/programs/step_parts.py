"""The parts of a training step as separate functions, each with the bytes it must move.

A part takes two arguments: what it is differentiated by (its parameters and the outputs of other
parts), and everything else. So nothing becomes a constant of the compiled program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from benchmarks.programs import floor
from benchmarks.programs import jax_program as program
from gpo_vae_jax import objective
from gpo_vae_jax.model import GPOVAE, bind, sample_noise
from gpo_vae_jax.model import distributions as dist
from gpo_vae_jax.model.cells import failed
from gpo_vae_jax.model.decoder import prior_effect, prior_mask
from gpo_vae_jax.model.guide import Told
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import StepState
from gpo_vae_jax.train.optimizer import global_norm, make_optimizer
from gpo_vae_jax.train.present import present, rows_of_batches
from gpo_vae_jax.types import Array, Params, Split


class Part(NamedTuple):
    """One part of a step."""

    name: str
    function: Callable[[Any, Any], Any]  # of `by` and `rest`
    by: Any  # what it is differentiated with respect to
    rest: Any
    reads: Any = ()  # what it must read besides `by`
    backward: bool = True
    calls: int = 1  # in a step
    passes: int = 0  # over [P, B, G] in float32, forward; its gradient takes as many again


def parts_of(split: Split, rows: Array, spec: Spec) -> list[Part]:
    """Return all parts of a step on the rows of a batch, each with its inputs from the others."""
    state = program.initial(spec)
    params, context = state.params, split.context
    n = {"n_particles": spec.train.n_particles, "n_cells": len(rows)}
    key = jax.random.key(0)
    batch = jax.jit(program.take)(split.cells, rows)
    n_rows = rows_of_batches(split, len(rows), spec.sizes.n_perturbed)
    if n_rows is not None:
        batch, _ = present(batch, spec.sizes.n_perturbed, n_rows)

    def model(by: Params, rest: Params) -> GPOVAE:
        return bind(merged(rest, by), spec)

    def gather(_, rest):
        return program.take(*rest)

    def draw(_, rest):
        key, present_rows = rest
        return sample_noise(key, spec, **n, rows=present_rows)

    def shared_sample(by, rest):
        return model(by, rest[0]).guide.sample_shared(*rest[1:])

    def qualities(batch):
        return batch.qc_fail, 1 - batch.qc_fail

    def first_posterior(by, rest):
        (own, shared), (all_params, context, batch, eps) = by, rest
        guide = model(own, all_params).guide
        both = jnp.concatenate([batch.counts, batch.counterfactual])
        counts, unseen = jnp.split(guide.encode_counts(both, context.statistics), 2)
        effects = guide.effects(shared, batch, batch.rows)
        told = (Told(counts, effects, shared.quality, flags) for flags in qualities(batch))
        basal, flipped = guide.basal_posteriors(*told)
        density = dist.gaussian_sample_log_prob(basal, eps).sum(-1)
        return unseen, flipped, dist.gaussian_sample(basal, eps), density

    def counterfactual(by, rest):
        (own, shared, unseen, flipped), (all_params, context, batch) = by, rest
        bound = model(own, all_params)
        effects, (_, flags) = bound.guide.effects(shared, batch, batch.rows), qualities(batch)
        (second,) = bound.guide.basal_posteriors(Told(unseen, effects, shared.quality, flags))
        guided = objective.Guided((), (), (), (), flipped, second, ())
        given = objective.Given(bound, context, batch, (), guided)
        return objective.counterfactual_kl(given)

    def hidden(by, rest):
        (own, basal, shared), (all_params, batch) = by, rest
        decoder = model(own, all_params).decoder
        effects = model(own, all_params).guide.effects(shared, batch, batch.rows)
        return decoder.hidden(basal, effects, shared.quality, failed(batch))

    def head(by, rest):
        (own, hidden), (all_params, batch) = by, rest
        weight = objective.reconstruction_weight(batch, spec.objective)
        return model(own, all_params).decoder.weighted_log_likelihood(hidden, batch, weight)

    def priors(by, rest):
        return (
            prior_mask(by.mask, spec.model).sum(-1),
            prior_effect(by.embedding, spec.model).sum(-1),
        )

    def alignment(by, rest):
        bound, (_, batch) = model(by, rest[0]), rest[1:]
        values = bound.guide.mask_rows(batch.rows)
        guided = objective.Guided(*[()] * 6, values)
        return objective.grn_alignment(objective.Given(bound, *rest[1:], (), guided))

    def optimiser(by, rest):
        state, gradients = rest
        update = make_optimizer(spec.train).update
        updates, optimizer = update(gradients, state.optimizer, state.params)
        new = StepState(optax.apply_updates(state.params, updates), optimizer)
        return new, global_norm(gradients)

    guide, decoder = "guide", "decoder"
    mask = f"mask_{spec.model.logits_or_probs}"
    noise = jax.jit(draw)((), (key, batch.rows))
    of_shared = picked(params, guide, mask, "embedding_encoder", "quality_encoder")
    of_basal = picked(params, guide, "basal_encoder")
    shared = jax.jit(shared_sample)(of_shared, (params, noise.shared, batch.rows))
    rest = (params, context, batch, noise.basal)
    unseen, flipped, basal, _ = jax.jit(first_posterior)((of_basal, shared), rest)
    of_hidden = picked(params, decoder, "mlp")
    last = jax.jit(hidden)((of_hidden, basal, shared), (params, batch))
    of_head = picked(params, decoder, *(k for k in params[decoder] if k != "mlp"))
    of_mask = picked(params, guide, mask)
    return [
        Part("gather", gather, (), (split.cells, rows), batch, backward=False),
        Part("noise", draw, (), (key, batch.rows), backward=False),
        Part(
            "embedding encoder", shared_sample, of_shared, (params, noise.shared, batch.rows),
            noise.shared,
            calls=2,
        ),
        Part(
            "basal encoder", first_posterior, (of_basal, shared), rest,
            (batch.counts, batch.counterfactual),
        ),
        Part(
            "counterfactual", counterfactual, (of_basal, shared, unseen, flipped),
            (params, context, batch),
        ),
        Part("decoder hidden", hidden, (of_hidden, basal, shared), (params, batch)),
        Part("decoder head", head, (of_head, last), (params, batch), batch.counts, passes=3),
        Part("priors", priors, shared, ()),
        Part("network alignment", alignment, of_mask, (params, context, batch), batch.delta),
        Part("optimiser", optimiser, (), (state, params), backward=False),
    ]  # fmt: skip


def with_gradient(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a function that also runs the backward pass, with its value as the cotangent."""

    def both(by, rest):
        value, back = jax.vjp(lambda b: function(b, rest), by)
        return value, back(value)

    return both


def moved_bytes(part: Part, cells_and_genes: int) -> int:
    """Count the fewest bytes that a part reads and writes in a call.

    Forward, it reads `by` and writes its result; backward, the other way round.
    """
    if part.name == "optimiser":
        return floor.PARAMETER_ARRAYS * program.n_bytes(part.rest[1])
    result = jax.eval_shape(part.function, part.by, part.rest)
    written = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(result))
    passes = floor.FLOAT32 * part.passes * cells_and_genes
    there = program.n_bytes(part.by) + written + passes
    return program.n_bytes(part.reads) + there * (2 if part.backward else 1)


def picked(params: Params, group: str, *names: str) -> dict[str, Any]:
    """Return some entries of one group of the parameters, in the same tree."""
    return {group: {name: params[group][name] for name in names}}


def merged(params: Params, some: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters, with some replaced."""
    return {group: {**params[group], **some.get(group, {})} for group in params}
