"""The whole model: guide and decoder under one parameter tree, and its initial values."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.cell_effects import CellEffects
from gpo_vae_jax.model.decoder import Decoder
from gpo_vae_jax.model.distributions import logits_from_probs
from gpo_vae_jax.model.guide import Guide
from gpo_vae_jax.model.heads import head_of
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Params


class GPOVAE(nn.Module):
    """The guide q and the decoder of the generative model p.

    Use it bound to parameters: `model = bind(params, spec)`, then `model.guide.mask_probs()` and
    so on: pure functions of the parameters.
    """

    spec: Spec

    def setup(self):
        """Declare the parameters."""
        self.guide = Guide(self.spec)
        self.decoder = Decoder(self.spec)

    def touch(self) -> None:
        """Use every parameter once, so that `init` creates them all."""
        guide, decoder, s, c = self.guide, self.decoder, self.spec.sizes, self.spec.model
        zeros = jnp.zeros
        guide.embedding_posterior(zeros((1, s.n_perturbed, s.n_treatments)))
        guide.quality_posterior()
        guide.basal_encoder(zeros((1, c.basal_encoder_n_hidden)))
        none = CellEffects(zeros((1, 1, s.n_treatments)), zeros((1, 1), jnp.int32), zeros((1, 1)))
        hidden = decoder.mlp(zeros((1, 1, c.decoder_n_hidden)))
        decoder.distribution(hidden, jnp.ones(1), decoder.change(none))
        if c.escape_prior:
            decoder.efficacy.shares()
        if s.categories:
            guide.covariates(None)
            decoder.covariates(None)


def bind(params: Params, spec: Spec) -> GPOVAE:
    """Return the model with its parameters."""
    return GPOVAE(spec).bind({"params": params})


def init_params(
    key: jax.Array, spec: Spec, *, mask_init: float = 0.0, knowledge: np.ndarray | None = None
) -> Params:
    """Draw initial parameters (docs/method.md 4).

    Args:
      key: a random key.
      spec: sizes and settings of the model.
      mask_init: value at which the parameter of q(M) starts; `spec` does not carry it, because no
        other program depends on it.
      knowledge: [T, T] prior probabilities of edges, in place of `mask_init`; nan where nothing is
        known.

    Raises:
      ConfigError: sizes and settings do not fit together.
    """
    config, sizes = spec.model, spec.sizes
    head_of(config.likelihood_key)
    if config.sum_mode and config.n_latent != sizes.n_treatments:
        raise ConfigError(
            f"config.model.sum_mode=True adds latents of size n_latent={config.n_latent} to "
            f"effects on T={sizes.n_treatments} treatments; set config.model.n_latent="
            f"{sizes.n_treatments}"
        )
    params = dict(_drawn_params(key, spec.of_model))
    if knowledge is None:
        mask = jnp.full((sizes.n_treatments,) * 2, mask_init, jnp.float32)
    else:
        mask = _from_knowledge(knowledge, spec)
    return {**params, "guide": {**params["guide"], f"mask_{config.logits_or_probs}": mask}}


def n_parameters(params: Params) -> int:
    """Return the number of trainable numbers."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@partial(jax.jit, static_argnames="spec")
def _drawn_params(key: jax.Array, spec: Spec) -> Params:
    return GPOVAE(spec).init(key, method="touch")["params"]


def _from_knowledge(knowledge: np.ndarray, spec: Spec) -> Array:
    knowledge = np.asarray(knowledge, np.float32)
    shape = (spec.sizes.n_treatments,) * 2
    if knowledge.shape != shape:
        raise ConfigError(
            f"the matrix of config.model.knowledge_path has shape {knowledge.shape}; it must be "
            f"T x T = {shape}, rows and columns in the order of the dosage columns"
        )
    known = np.isfinite(knowledge)
    wrong = known & ((knowledge < 0) | (knowledge > 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ConfigError(
            f"the matrix of config.model.knowledge_path must hold probabilities, but its entry "
            f"[{row}, {column}] is {knowledge[row, column]}"
        )
    values = jnp.asarray(np.where(known, knowledge, 0.0))
    if spec.model.logits_or_probs == "logits":
        values = jnp.where(jnp.asarray(known), logits_from_probs(values), 0.0)
    return values
