"""What a compiled program depends on, and nothing else: one static argument."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from gpo_vae_jax.config import Config, ModelConfig, ObjectiveConfig, TrainConfig
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.types import Array, Sizes

_CHOSEN = (("model", "n_latent"), ("model", "basal_encoder_n_hidden"),
           ("model", "decoder_n_hidden"), ("train", "batch_size"))  # fmt: skip
# Numbers that may be arguments of a program, so that members of one program differ in them.
VARIED = (
    "model.mask_prior",
    "model.embedding_prior_scale",
    "objective.beta",
    "objective.gloss_coeff",
    "objective.fc_criteria",
    "objective.penalty_coeff",
    "objective.invariance_coeff",
    "train.learning_rate",
    "train.mask_rate",
    "train.weight_decay",
    "train.gradient_clip_norm",
)
_ON_HOST = ("seed", "max_epochs", "patience", "checkpoint_every_steps", "save_every_seconds")


@dataclasses.dataclass(frozen=True)
class Spec:
    """The sizes of the data and the settings of model, objective and optimisation.

    Hashable, so that it can be a static argument of `jax.jit`. Runs that differ in anything else
    (seed, patience, paths) share a compiled program.
    """

    sizes: Sizes
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    objective: ObjectiveConfig = dataclasses.field(default_factory=ObjectiveConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)

    @classmethod
    def of(cls, config: Config, sizes: Sizes) -> Spec:
        """Return the spec of a configuration, settings that no program sees at their default.

        Raises:
          ConfigError: a size is still open (see `train.chosen_sizes`).
        """
        for group, name in _CHOSEN:
            if not getattr(getattr(config, group), name):
                raise ConfigError(
                    f"config.{group}.{name}=0 is not chosen yet: train.chosen_sizes.with_sizes does"
                )
        default = TrainConfig()
        on_host = {name: getattr(default, name) for name in _ON_HOST}
        if config.train.schedule != "constant":  # which spans the whole run
            del on_host["max_epochs"]
        if config.model.effect == "latent":
            sizes = dataclasses.replace(sizes, network_genes=(), unseen=())
        return cls(
            sizes,
            dataclasses.replace(
                config.model, knowledge_path="", mask_init=0.0, effect_init="random"
            ),
            config.objective,
            dataclasses.replace(config.train, **on_host),
        )

    @property
    def of_model(self) -> Spec:
        """Return the spec without objective and optimisation: all that decoding depends on."""
        return Spec(self.sizes, self.model)

    def with_values(self, values: Mapping[str, Any]) -> Spec:
        """Return the spec with some settings of `VARIED` replaced, by numbers or traced arrays."""
        changed: dict[str, Any] = {}
        for path, value in values.items():
            group, name = path.split(".")
            settings = changed.get(group, getattr(self, group))
            changed[group] = dataclasses.replace(settings, **{name: value})
        return dataclasses.replace(self, **changed) if changed else self


def in_use(coefficient: float | Array) -> bool:
    """Return whether a coefficient may be other than 0: one that varies between members may."""
    return isinstance(coefficient, jax.Array) or coefficient != 0
