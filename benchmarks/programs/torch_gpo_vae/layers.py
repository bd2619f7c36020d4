"""The network blocks (docs/method.md 4): residual layers and a Gaussian head over them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Normal

VARIANCE_FLOOR = 1e-4


class ResidualMLP(nn.Module):
    """Apply n linear layers of one width: h = act(x W + b), then h = act(h W + b) + h."""

    def __init__(self, n_inputs: int, hidden: int, n_layers: int):
        super().__init__()
        widths = [n_inputs] + [hidden] * (n_layers - 1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(0.01)) for width in widths
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., n_inputs] to [..., hidden]."""
        first, *later = self.layers
        h = first(x)
        for layer in later:
            h = layer(h) + h
        return h


class GaussianHead(nn.Module):
    """Map inputs to a diagonal Gaussian: mean = W h + b, variance = exp(V h + c) + 1e-4."""

    def __init__(self, n_inputs: int, hidden: int, n_layers: int, n_outputs: int):
        super().__init__()
        self.mlp = ResidualMLP(n_inputs, hidden, n_layers)
        self.mean_encoder = nn.Linear(hidden, n_outputs)
        self.log_var_encoder = nn.Linear(hidden, n_outputs)

    def forward(self, x: Tensor) -> Normal:
        """Return the Gaussian of each row."""
        h = self.mlp(x)
        variance = torch.exp(self.log_var_encoder(h).float()) + VARIANCE_FLOOR
        return Normal(self.mean_encoder(h).float(), variance.sqrt(), validate_args=False)
