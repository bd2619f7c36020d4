"""Likelihood heads: one module each, with the contract of head.py.

A new head is a module beside these and a line in `HEADS`; `config.model.likelihood_key` names it.
"""

from __future__ import annotations

import difflib
from typing import Any

from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.model.heads.head import Distribution, Head, HeadParams, Linear
from gpo_vae_jax.model.heads.library_nb import LibraryNB
from gpo_vae_jax.model.heads.normal import Normal
from gpo_vae_jax.model.heads.normal_fixed_variance import NormalFixedVariance
from gpo_vae_jax.model.heads.poisson import Poisson

__all__ = ["HEADS", "Distribution", "Head", "HeadParams", "Linear", "head_of"]

HEADS: dict[str, Head[Any]] = {
    "library_nb": LibraryNB(),
    "poisson": Poisson(),
    "normal": Normal(),
    "normal_fixed_variance": NormalFixedVariance(),
}


def head_of(likelihood_key: str) -> Head[Any]:
    """Return the head that `config.model.likelihood_key` names.

    Raises:
      ConfigError: there is no such head; the message lists those there are.
    """
    if likelihood_key not in HEADS:
        close = difflib.get_close_matches(likelihood_key, HEADS, n=1, cutoff=0.5)
        guess = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            f"config.model.likelihood_key={likelihood_key!r} is no likelihood head; {guess}"
            f"there are: {', '.join(HEADS)}"
        )
    return HEADS[likelihood_key]
