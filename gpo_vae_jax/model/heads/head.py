"""The contract of a likelihood head: p(x | z) from the decoder's last hidden layer."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import jax.numpy as jnp

from gpo_vae_jax.model.cells import in_turn
from gpo_vae_jax.model.layers import linear
from gpo_vae_jax.types import Array


class Linear(NamedTuple):
    """The parameters of a linear layer from the last hidden layer to genes."""

    kernel: Array  # [H, G]
    bias: Array  # [G]
    change: Array | None = None  # [B, n, G] of n samples, taken in turn: added to the result

    def __call__(self, hidden: Array) -> Array:
        """Map [P, B, H] to [P, B, G]."""
        values = linear(hidden, self.kernel, self.bias)
        if self.change is None:
            return values
        return values + in_turn(jnp.swapaxes(self.change, 0, 1), len(values))


class Distribution(Protocol):
    """What every head returns as p(x | z): a NamedTuple with these fields among others.

    The last axis of every field is genes, or of length 1 where all genes share it: prediction
    reorders the genes.
    """

    @property
    def mean(self) -> Array:
        """Expected count of each cell and gene, [P, B, G]."""
        ...

    @property
    def variance(self) -> Array:
        """Variance of the count, [P, B, G]."""
        ...


HeadParams = Mapping[str, Any]  # by declared name: a Linear, or an array
_D = TypeVar("_D", bound=Distribution)


class Head(abc.ABC, Generic[_D]):
    """A likelihood head: declared parameters and pure functions of them (docs/method.md 2).

    A subclass declares its parameters by name and implements `distribution`, `log_prob` and
    `sample`. The functions receive the declared parameters as `params`. Parameters other than
    linear layers start at 0. Propagated effects are added to the linear layer named "output".
    """

    linear: ClassVar[tuple[str, ...]] = ()  # layers from H to G
    per_gene: ClassVar[tuple[str, ...]] = ()  # parameters [G]
    shared: ClassVar[Mapping[str, tuple[int, ...]]] = {}  # shapes of parameters without genes
    draws_counts: ClassVar[bool] = True  # whether `sample` returns whole numbers from 0 up
    has_laplace_transform: ClassVar[bool] = False  # whether `laplace_transform` is implemented
    # Of a gene that takes no part: the biases of linear layers, and the parameters [G]. Its kernels
    # and counts are 0, and so is its log p. Empty: there is no such gene.
    idle: ClassVar[Mapping[str, float]] = {}
    in_pytorch: ClassVar[Mapping[str, str]] = {}  # the original's name of each; empty: none there

    @abc.abstractmethod
    def distribution(self, params: HeadParams, hidden: Array, library_size: Array) -> _D:
        """Return p(x | z).

        Args:
          params: the declared parameters.
          hidden: [P, B, H] the decoder's last hidden layer.
          library_size: [P, B] or [1, B] total counts of each cell.
        """

    @abc.abstractmethod
    def log_prob(self, counts: Array, given: _D) -> Array:
        """Return log p(x | z) of every gene, [P, B, G], for float32 counts [B, G]."""

    @abc.abstractmethod
    def sample(self, keys: Array, given: _D, genes: Array) -> Array:
        """Draw a value for every cell and gene, [P, B, G] float32.

        A value must depend on its cell's key, its gene's number and its own distribution only:
        the order of cells and genes must not matter.

        Args:
          keys: [P, B] a random key for each cell.
          given: from `distribution`.
          genes: [G] uint32, the number of each gene.
        """

    def laplace_transform(self, given: _D, u: Array) -> Array:
        """Return E[exp(-u x)] of every gene, [P, B, G], where it has a closed form.

        With it the expected log-transformed count is computed instead of sampled. A head that
        implements it sets `has_laplace_transform`.

        Args:
          given: from `distribution`.
          u: [P, B, 1] or [1, B, 1], at least 0.
        """
        raise NotImplementedError

    def log_likelihood(
        self, params: HeadParams, hidden: Array, counts: Array, library_size: Array
    ) -> Array:
        """Return log p(x | z) summed over genes, [P, B].

        Args:
          params: the declared parameters.
          hidden: [P, B, H] the decoder's last hidden layer.
          counts: [B, G] of any numeric type.
          library_size: [B] float32.
        """
        given = self.distribution(params, hidden, library_size[None])
        return self.log_prob(counts.astype(jnp.float32), given).sum(-1)

    def weighted_log_likelihood(
        self, params: HeadParams, hidden: Array, counts: Array, library_size: Array, weight: Array
    ) -> Array:
        """Return the sum of weight * log p(x | z) over particles, cells and genes: a scalar.

        Training calls this one. A head may override it where value and gradient are cheaper to
        compute together.

        Args:
          params: the declared parameters.
          hidden: [P, B, H] the decoder's last hidden layer.
          counts: [B, G] of any numeric type.
          library_size: [B] float32.
          weight: [B] of each cell, the same for all particles.
        """
        return jnp.sum(weight[None] * self.log_likelihood(params, hidden, counts, library_size))

    def log_mixture(
        self,
        params: HeadParams,
        hidden: Array,
        counts: Array,
        library_size: Array,
        log_shares: Array,
    ) -> Array:
        """Return the log-likelihood where the change of the logits acts in some cells, [P, B].

        Args:
          params: the declared parameters, of which "output" has a change.
          hidden: [P, B, H] the decoder's last hidden layer.
          counts: [B, G] of any numeric type.
          library_size: [B] float32.
          log_shares: [B, 2] log-probabilities that the change acts in a cell, and that it does not.
        """
        without = {
            name: of._replace(change=None) if isinstance(of, Linear) else of
            for name, of in params.items()
        }
        each = [self.log_likelihood(of, hidden, counts, library_size) for of in (params, without)]
        return jnp.logaddexp(*(of + log_shares[None, :, i] for i, of in enumerate(each)))

    def weighted_log_mixture(
        self,
        params: HeadParams,
        hidden: Array,
        counts: Array,
        library_size: Array,
        weight: Array,
        log_shares: Array,
    ) -> Array:
        """Return the sum of weight [B] * `log_mixture` over particles and cells: a scalar.

        Training calls this one.
        """
        mixture = self.log_mixture(params, hidden, counts, library_size, log_shares)
        return jnp.sum(weight[None] * mixture)
