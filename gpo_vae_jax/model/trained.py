"""A trained model: parameters, settings, names and history, of one seed or of several."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gpo_vae_jax.config import Config
from gpo_vae_jax.config_io import with_settings
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Params, Sizes


@dataclasses.dataclass(frozen=True)
class Member:
    """One run of a training: a seed, and settings in which it differs from the first."""

    seed: int
    params: Params  # of the epoch with the best validation loss
    best_loss: float  # validation loss of that epoch; inf before the first epoch has ended
    best_epoch: int  # -1 before the first epoch has ended
    n_epochs: int
    history: pd.DataFrame  # one row an epoch: losses by term, gradient norm, network monitors
    interrupted: bool = False  # stopped before early stopping or the last epoch
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # by path, seed apart


@dataclasses.dataclass(frozen=True, repr=False)
class Trained:
    """A trained model with one or several members, which differ in seed or settings.

    Where a single model is wanted, `params`, `history` and the functions that predict or evaluate
    use `best`, the member with the lowest validation loss. Iteration and indexing return each
    member as a `Trained` of its own.
    """

    config: Config  # of the first member
    sizes: Sizes
    treatments: tuple[str, ...]  # T names, the R perturbed ones first: rows of the network
    genes: tuple[str, ...]  # G names
    members: tuple[Member, ...]
    description: dict[str, Any]  # versions, device, data: what run.json holds

    @property
    def spec(self) -> Spec:
        """Return what the compiled programs of the best member depend on."""
        return Spec.of(self.config_of(self.best), self.sizes)

    def config_of(self, member: Member) -> Config:
        """Return the settings of a member, with its seed."""
        return with_settings(self.config, {**member.settings, "train.seed": member.seed})

    @property
    def best(self) -> Member:
        """Return the member with the lowest validation loss; the first of equals."""
        losses = [m.best_loss if math.isfinite(m.best_loss) else math.inf for m in self.members]
        return self.members[int(np.argmin(losses))]

    @property
    def params(self) -> Params:
        """Return the parameters of the best member."""
        return self.best.params

    @property
    def history(self) -> pd.DataFrame:
        """Return the epochs of all members, one row each, with columns for seed and settings."""
        tables = [
            member.history.assign(seed=member.seed, **member.settings) for member in self.members
        ]
        return pd.concat(tables, ignore_index=True)

    @property
    def n_perturbed(self) -> int:
        """Return R, the number of treatments that cells of the data carry."""
        return self.sizes.n_perturbed

    @property
    def interrupted(self) -> bool:
        """Return whether any member was stopped before it had finished."""
        return any(member.interrupted for member in self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> Trained:
        member = self.members[index]
        alone = dataclasses.replace(member, settings={})
        return dataclasses.replace(self, config=self.config_of(member), members=(alone,))

    def __iter__(self) -> Iterator[Trained]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        seeds = ", ".join(dict.fromkeys(str(member.seed) for member in self.members))
        best = self.best
        return (
            f"Trained({self.config.name!r}: {len(self.treatments)} treatments "
            f"({self.n_perturbed} perturbed), {len(self.genes)} genes; "
            f"{'seed' if len(self) == 1 else 'seeds'} {seeds}; best validation loss "
            f"{best.best_loss:.4f}, seed {best.seed}, epoch {best.best_epoch} of {best.n_epochs})"
        )
