"""What a compiled program depends on, and nothing else: one static argument."""

from __future__ import annotations

import dataclasses

from gpo_vae_jax.config import Config, ModelConfig, ObjectiveConfig, TrainConfig
from gpo_vae_jax.types import Sizes

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
        """Return the spec of a configuration, settings that no program sees at their default."""
        default = TrainConfig()
        on_host = {name: getattr(default, name) for name in _ON_HOST}
        return cls(
            sizes,
            dataclasses.replace(config.model, knowledge_path="", mask_init=0.0),
            config.objective,
            dataclasses.replace(config.train, **on_host),
        )

    @property
    def of_model(self) -> Spec:
        """Return the spec without objective and optimisation: all that decoding depends on."""
        return Spec(self.sizes, self.model)
