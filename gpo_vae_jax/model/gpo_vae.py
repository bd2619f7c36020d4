"""The whole model: guide and decoder under one parameter tree, its initial values and its noise."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.decoder import Decoder
from gpo_vae_jax.model.distributions import logits_from_probs
from gpo_vae_jax.model.guide import Guide
from gpo_vae_jax.model.row_noise import logistic_rows, normal_rows
from gpo_vae_jax.types import Array, Noise, Params, SharedNoise, Sizes


class GPOVAE(nn.Module):
    """Hold the guide q and the decoder of the generative model p.

    Use it bound to parameters: `gpo_vae = bind(params, config, sizes)`, then
    `gpo_vae.guide.mask_probs()` and so on: pure functions of the parameters.
    """

    config: ModelConfig
    sizes: Sizes

    def setup(self):
        self.guide = Guide(self.config, self.sizes)
        self.decoder = Decoder(self.config, self.sizes)

    def touch(self) -> None:
        """Reach every parameter once, so that `init` makes them all."""
        guide, decoder, s, c = self.guide, self.decoder, self.sizes, self.config
        zeros = jnp.zeros
        guide.embedding_posterior(zeros((1, s.n_perturbed, s.n_treatments)))
        guide.quality_posterior()
        guide.basal_encoder(zeros((1, c.basal_encoder_n_hidden)))
        hidden = decoder.mlp(zeros((1, 1, c.decoder_n_hidden)))
        decoder.distribution(hidden, jnp.ones(1))


def bind(params: Params, config: ModelConfig, sizes: Sizes) -> GPOVAE:
    """Return the model with its parameters."""
    return GPOVAE(config, sizes).bind({"params": params})


def init_params(
    key: Array, config: ModelConfig, sizes: Sizes, knowledge: np.ndarray | None = None
) -> Params:
    """Draw initial parameters (docs/method.md 4).

    Args:
      knowledge: [T, T] prior probabilities of edges; nan where nothing is known.

    Raises:
      ConfigError: where sizes and settings do not fit together.
    """
    if config.sum_mode and config.n_latent != sizes.n_treatments:
        raise ConfigError(
            f"config.model.sum_mode=True adds latents of size n_latent={config.n_latent} to "
            f"effects on T={sizes.n_treatments} treatments; set config.model.n_latent="
            f"{sizes.n_treatments}"
        )
    known = {}
    if knowledge is not None:
        known[f"mask_{config.logits_or_probs}"] = _from_knowledge(knowledge, config, sizes)
    params = dict(_drawn_params(key, config, sizes))
    return {**params, "guide": {**params["guide"], **known}}


def sample_noise(
    key: Array,
    config: ModelConfig,
    sizes: Sizes,
    *,
    n_particles: int,
    n_cells: int,
    rows: Array | None = None,
) -> Noise:
    """Draw all the noise of one evaluation of the objective (`rows`: see sample_shared_noise)."""
    first, second, cells = jax.random.split(key, 3)
    of_cells = _keys_of_rows(cells, n_particles, jnp.arange(n_cells))
    return Noise(
        shared=sample_shared_noise(first, config, sizes, n_particles, rows),
        basal=normal_rows(of_cells, config.n_latent),
        counterfactual=sample_shared_noise(second, config, sizes, n_particles, rows),
    )


def sample_shared_noise(
    key: Array, config: ModelConfig, sizes: Sizes, n_particles: int, rows: Array | None = None
) -> SharedNoise:
    """Draw the noise of the variables shared by cells, for one guide pass: each [P, ...].

    Args:
      rows: [R'] the treatments whose rows are drawn; absent: the R perturbed ones. A treatment's
        draws are the same whatever the other rows.
    """
    mask, embedding, quality = jax.random.split(key, 3)
    rows = jnp.arange(sizes.n_perturbed) if rows is None else rows
    return SharedNoise(
        mask=logistic_rows(_keys_of_rows(mask, n_particles, rows), sizes.n_treatments),
        embedding=normal_rows(_keys_of_rows(embedding, n_particles, rows), sizes.n_treatments),
        quality=jax.random.normal(quality, (n_particles, sizes.n_quality, config.n_latent)),
    )


def _keys_of_rows(key: Array, n_particles: int, rows: Array) -> Array:
    """Return a key for every particle and row, [P, R']."""
    fold = jax.random.fold_in
    of_rows = jax.vmap(lambda draw: jax.vmap(lambda row: fold(fold(key, draw), row))(rows))
    return of_rows(jnp.arange(n_particles))


def n_parameters(params: Params) -> int:
    """Count the trainable numbers."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@partial(jax.jit, static_argnames=("config", "sizes"))
def _drawn_params(key: Array, config: ModelConfig, sizes: Sizes) -> Params:
    return GPOVAE(config, sizes).init(key, method="touch")["params"]


def _from_knowledge(knowledge: np.ndarray, config: ModelConfig, sizes: Sizes) -> Array:
    knowledge = np.asarray(knowledge, np.float32)
    shape = (sizes.n_treatments,) * 2
    if knowledge.shape != shape:
        raise ConfigError(
            f"the prior-knowledge matrix {config.knowledge_path!r} has shape {knowledge.shape}; "
            f"it must be T x T = {shape}, rows and columns in the order of the dosage columns"
        )
    known = np.isfinite(knowledge)
    wrong = known & ((knowledge < 0) | (knowledge > 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ConfigError(
            f"the prior-knowledge matrix {config.knowledge_path!r} holds probabilities, but entry "
            f"[{row}, {column}] is {knowledge[row, column]}"
        )
    values = jnp.asarray(np.where(known, knowledge, 0.0))
    if config.logits_or_probs == "logits":
        values = jnp.where(jnp.asarray(known), logits_from_probs(values), 0.0)
    return values
