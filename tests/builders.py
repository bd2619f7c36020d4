"""Small random models, batches and noise, for tests of anything that needs them."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.config import Config, ModelConfig, ObjectiveConfig
from gpo_vae_jax.model import init_params
from gpo_vae_jax.model.readout import n_others
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import (
    Batch,
    Context,
    InputStatistics,
    Noise,
    Params,
    ReadoutNoise,
    SharedNoise,
    Sizes,
)

SIZES = Sizes(n_genes=7, n_treatments=4, n_perturbed=3, n_quality=1)
SMALL = ModelConfig(
    n_latent=3,
    basal_encoder_n_hidden=5,
    embedding_encoder_n_layers=2,
    embedding_encoder_n_hidden=6,
    decoder_n_hidden=5,
)


# Four treatments among seven genes; the third is not measured.
NETWORK_SIZES = Sizes(7, 4, 3, 1, network_genes=(5, 0, -1, 2))
PROPAGATED = {"effect": "propagated", "effect_guide": "table", "mask_prior": 0.05}
PROPAGATED_OBJECTIVE = {
    "beta": 0.0,
    "gloss_coeff": 0.0,
    "penalty_coeff": 0.0,
    "cell_weights": "equal",
    "kl": "analytic",
    "invariance_coeff": 3.0,
}


class Case(NamedTuple):
    """All that `objective.loss` takes: `loss(*case.arrays, spec=case.spec)`."""

    spec: Spec
    params: Params
    context: Context
    batch: Batch
    noise: Noise

    @property
    def arrays(self) -> tuple[Params, Context, Batch, Noise]:
        """Return the arguments by position."""
        return self.params, self.context, self.batch, self.noise


class Model(NamedTuple):
    """A model with random parameters."""

    params: Params
    spec: Spec


def make_model(sizes: Sizes = SIZES, seed: int = 0, **settings: Any) -> Model:
    """Draw a small model, some settings of it changed."""
    spec = Spec(sizes, configure(settings).model)
    return Model(make_params(np.random.default_rng(seed), spec), spec)


def configure(
    model: dict[str, Any] | None = None, objective: dict[str, Any] | None = None
) -> Config:
    """Return a configuration of a small network with some settings changed."""
    changed = {**vars(SMALL), **(model or {})}
    return Config(model=ModelConfig(**changed), objective=ObjectiveConfig(**(objective or {})))


def make_case(
    config: Config | None = None,
    sizes: Sizes = SIZES,
    *,
    seed: int = 0,
    n_cells: int = 6,
    n_particles: int = 2,
    width: int = 1,
) -> Case:
    """Draw parameters, data and noise; see `make_batch` for what the batch holds."""
    config = configure() if config is None else config
    rng = np.random.default_rng(seed)
    batch = make_batch(rng, sizes, n_cells, width)
    spec = Spec.of(config, sizes)
    return Case(
        spec,
        make_params(rng, spec),
        make_context(rng, sizes),
        batch,
        make_noise(rng, spec, n_cells, n_particles),
    )


def make_batch(rng: np.random.Generator, sizes: Sizes, n_cells: int = 6, width: int = 1) -> Batch:
    """Draw cells: about a third are controls or failed; some lack a counterfactual.

    The first is a control that passed, the second a perturbed cell that failed, without a
    counterfactual. The columns of a row are distinct treatments, also those that only fill it, so
    `width` (K) is at most R.
    """
    g, t, r, q = sizes.n_genes, sizes.n_treatments, sizes.n_perturbed, sizes.n_quality
    counts = rng.poisson(3.0, (n_cells, g)).astype(np.int32)
    index = np.stack([rng.permutation(r)[:width] for _ in range(n_cells)])
    dosage = rng.random((n_cells, width)) < 0.7
    dosage[0], dosage[1:2, 0] = False, True
    failed = rng.random((n_cells, q)) < 0.35
    failed[0], failed[1:2, -1] = False, True
    counterfactual = rng.poisson(2.0, (n_cells, g)) * (rng.random((n_cells, 1)) < 0.7)
    counterfactual[1:2] = 0
    counterfactual[0, 0] = 1
    batch = Batch(
        counts=counts,
        library_size=counts.sum(1).astype(np.float32),
        perturbation=index.astype(np.int32),
        dosage=dosage.astype(np.float32),
        qc_fail=failed.astype(np.float32),
        counterfactual=counterfactual.astype(np.int32),
        delta=np.abs(rng.normal(size=(n_cells, t))).astype(np.float32),
        weight=np.ones(n_cells, np.float32),
    )
    return jax.tree.map(jnp.asarray, batch)


def make_context(rng: np.random.Generator, sizes: Sizes) -> Context:
    """Draw input statistics and the numbers of cells of a split."""
    g, t, q = sizes.n_genes, sizes.n_treatments, sizes.n_quality
    statistics = InputStatistics(
        mean=rng.uniform(2, 4, g),
        std=rng.uniform(1, 2, g),
        log_mean=rng.uniform(1, 2, g),
        log_std=rng.uniform(0.5, 1, g),
    )
    cells, failed, measured = rng.integers(5, 20, t), rng.integers(5, 20, q), np.arange(t) != 1
    context = Context(statistics, cells, failed, measured, training_cells=50)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), context)


def make_noise(
    rng: np.random.Generator, spec: Spec, n_cells: int = 6, n_particles: int = 2
) -> Noise:
    """Draw the noise of one evaluation of the objective."""
    sizes, n_latent = spec.sizes, spec.model.n_latent
    propagated = spec.model.effect == "propagated"
    n_rows = sizes.n_treatments if propagated else sizes.n_perturbed
    rows = (n_particles, n_rows, sizes.n_treatments)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    def shared():
        mask = jnp.asarray(rng.logistic(size=rows), jnp.float32)
        return SharedNoise(mask, normal(*rows), normal(n_particles, sizes.n_quality, n_latent))

    noise = Noise(shared(), normal(n_particles, n_cells, n_latent), shared())
    if not propagated:
        return noise
    table = (sizes.n_treatments, n_others(spec))
    mask = jnp.asarray(rng.logistic(size=table), jnp.float32)
    return noise._replace(readout=ReadoutNoise(mask, normal(*table)))


def make_params(rng: np.random.Generator, spec: Spec) -> Params:
    """Draw parameters about as large as trained ones, the mask's probabilities within [0, 1]."""
    shapes = param_shapes(spec)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(scale=0.4, size=leaf.shape), leaf.dtype), shapes
    )
    if spec.model.logits_or_probs == "probs":
        probs = rng.random((spec.sizes.n_treatments,) * 2)
        params["guide"]["mask_probs"] = jnp.asarray(probs, jnp.float32)
    return params


def param_shapes(spec: Spec) -> Params:
    """Return the shape and type of every parameter, drawing none."""
    return jax.eval_shape(functools.partial(init_params, spec=spec), jax.random.key(0))
