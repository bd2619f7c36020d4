"""The network blocks (docs/method.md 4): linear layers, residual layers, Gaussian heads."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpo_vae_jax.model.blocks import LONG_SIDE, aligned, on_cpu
from gpo_vae_jax.model.distributions import VARIANCE_FLOOR
from gpo_vae_jax.types import Array, Posterior

Blocks = tuple[tuple[str, int], ...]  # (name, width) of the parts of a concatenated input


def leaky_relu(x: Array) -> Array:
    """Apply the activation of every hidden layer; its slope is 0.01 up to x = 0."""
    return x * jnp.where(x > 0, 1.0, 0.01)


def uniform_fan_in(fan_in: int):
    """Return the initialiser of weights and biases: uniform within +-1 / sqrt(fan_in)."""
    bound = fan_in**-0.5

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Dense(nn.Module):
    """A linear layer, x W + b."""

    n_inputs: int
    features: int

    def setup(self):
        """Declare the parameters."""
        init = uniform_fan_in(self.n_inputs)
        self.kernel = self.param("kernel", init, (self.n_inputs, self.features))
        self.bias = self.param("bias", init, (self.features,))

    def __call__(self, x: Array) -> Array:
        """Map [..., n_inputs] to [..., features]."""
        return linear(x, self.kernel, self.bias)


class BlockDense(nn.Module):
    """A linear layer on a concatenation that is never built: one kernel per block of inputs.

    A block that does not depend on particles (or cells) is multiplied once, and the sum of the
    shares broadcasts.
    """

    blocks: Blocks
    features: int

    def setup(self):
        """Declare the parameters."""
        init = uniform_fan_in(sum(width for _, width in self.blocks))
        self.kernels = {
            name: self.param(f"kernel_{name}", init, (width, self.features))
            for name, width in self.blocks
        }
        self.bias = self.param("bias", init, (self.features,))

    def project(self, block: str, x: Array) -> Array:
        """Return the share of one block in the layer's output, without the bias."""
        return product(x, self.kernels[block])

    def rows(self, block: str, n: int) -> Array:
        """Return the shares of the first n one-hot inputs: `project(block, identity)[:n]`."""
        return self.kernels[block][:n]

    def add_bias(self, x: Array) -> Array:
        """Add the bias to a sum of shares."""
        return x + _row(self.bias, x.ndim)


class ResidualMLP(nn.Module):
    """Linear layers of one width: h = act(x W + b), then h = act(h W + b) + h."""

    blocks: Blocks
    hidden: int
    n_layers: int

    def setup(self):
        """Declare the parameters."""
        self.first = BlockDense(self.blocks, self.hidden)
        self.later = [Dense(self.hidden, self.hidden) for _ in range(self.n_layers - 1)]

    def project(self, block: str, x: Array) -> Array:
        """Return the share of one block in the first layer."""
        return self.first.project(block, x)

    def rows(self, block: str, n: int) -> Array:
        """Return the shares of the first n one-hot inputs of a block."""
        return self.first.rows(block, n)

    def __call__(self, shares: Array) -> Array:
        """Map the summed shares of the first layer, [..., H], to the last layer, [..., H]."""
        h = leaky_relu(self.first.add_bias(shares))
        for layer in self.later:
            h = leaky_relu(layer(h)) + h
        return h


class GaussianHead(nn.Module):
    """A map to a diagonal Gaussian: mean = W h + b, variance = exp(V h + c) + 1e-4."""

    blocks: Blocks
    hidden: int
    n_layers: int
    features: int

    def setup(self):
        """Declare the parameters."""
        self.mlp = ResidualMLP(self.blocks, self.hidden, self.n_layers)
        self.mean = Dense(self.hidden, self.features)
        self.log_variance = Dense(self.hidden, self.features)

    def project(self, block: str, x: Array) -> Array:
        """Return the share of one block in the first layer."""
        return self.mlp.project(block, x)

    def rows(self, block: str, n: int) -> Array:
        """Return the shares of the first n one-hot inputs of a block."""
        return self.mlp.rows(block, n)

    def __call__(self, shares: Array) -> Posterior:
        """Map the summed shares of the first layer, [..., H], to a Gaussian, [..., features]."""
        h = self.mlp(shares)
        mean, log_variance = self._both(h)
        return Posterior(mean, jnp.exp(log_variance) + VARIANCE_FLOOR)

    def _both(self, h: Array) -> tuple[Array, Array]:
        """Return mean and log variance; on a GPU from one product, [H, 2 F]."""
        if on_cpu():
            return self.mean(h), self.log_variance(h)
        n, more = self.features, aligned(self.features) - self.features
        layers = (self.mean, self.log_variance)
        kernel = jnp.concatenate([jnp.pad(a.kernel, ((0, 0), (0, more))) for a in layers], axis=1)
        bias = jnp.concatenate([jnp.pad(a.bias, (0, more)) for a in layers])
        both = linear(h, kernel, bias)
        return both[..., :n], both[..., n + more : 2 * n + more]


def product(x: Array, kernel: Array) -> Array:
    """Return x @ kernel as one product of two matrices, [..., n] x [n, m] -> [..., m].

    The gradient with respect to the kernel is then one product, too. Over several axes XLA's CPU
    backend would first copy the incoming gradient into another order.
    """
    rows, more = x.reshape(-1, x.shape[-1]), aligned(x.shape[-1]) - x.shape[-1]
    if len(rows) == 1 and not on_cpu():  # a sum, which the compiler fuses with its neighbours
        return (rows.T * kernel).sum(0).reshape(*x.shape[:-1], kernel.shape[-1])
    if more and x.shape[-1] >= LONG_SIDE:  # shorter ones the compiler fills up in fewer kernels
        rows, kernel = jnp.pad(rows, ((0, 0), (0, more))), jnp.pad(kernel, ((0, more), (0, 0)))
    return _of_matrices(rows, kernel).reshape(*x.shape[:-1], kernel.shape[-1])


@jax.custom_vjp
def _of_matrices(rows: Array, kernel: Array) -> Array:
    """Return rows @ kernel; its gradient by the kernel is never transposed, nor its moments."""
    return rows @ kernel


def _of_matrices_forward(rows: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return rows @ kernel, (rows, kernel)


def _of_matrices_backward(kept: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    rows, kernel = kept
    return cotangent @ kernel.T, rows.T @ cotangent


_of_matrices.defvjp(_of_matrices_forward, _of_matrices_backward)


def linear(x: Array, kernel: Array, bias: Array) -> Array:
    """Return x @ kernel + bias, [..., n] to [..., m]."""
    return product(x, kernel) + _row(bias, x.ndim)


def _row(bias: Array, ndim: int) -> Array:
    return bias.reshape((1,) * (ndim - 1) + (-1,))
