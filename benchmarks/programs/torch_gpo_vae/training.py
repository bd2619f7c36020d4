"""One optimiser step (docs/method.md 6): clip, coupled weight decay, Adam or cyclic SGD."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from benchmarks.programs.torch_gpo_vae.guide import PassNoise
from benchmarks.programs.torch_gpo_vae.objective import GPOVAE, Batch, Counts

Step = Callable[..., tuple[Tensor, Tensor]]
PRECISIONS = ("float32", "tf32", "bf16")


def adam(model: GPOVAE) -> torch.optim.Adam:
    """Return the optimiser of the published runs."""
    s = model.settings
    return torch.optim.Adam(model.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay)


def cyclic_sgd(
    model: GPOVAE, low: float, high: float, steps_up: int
) -> tuple[torch.optim.SGD, torch.optim.lr_scheduler.CyclicLR]:
    """Return SGD with a triangular learning rate, and momentum in the opposite phase."""
    decay = model.settings.weight_decay
    optimizer = torch.optim.SGD(model.parameters(), lr=low, momentum=0.9, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CyclicLR(
        optimizer, low, high, step_size_up=steps_up, base_momentum=0.8, max_momentum=0.9
    )
    return optimizer, schedule


def make_step(model: GPOVAE, optimizer, schedule=None, precision: str = "float32") -> Step:
    """Return a function (batch, counts, noise) -> (loss, gradient norm before clipping).

    Each call updates the model once.

    Args:
      precision: of matrix products: "float32", "tf32" (on a GPU that has it), or "bf16" by
        autocasting.

    Raises:
      ValueError: another precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is none of {', '.join(PRECISIONS)}")
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    device = next(model.parameters()).device.type

    def step(
        batch: Batch,
        counts: Counts,
        noise: tuple[PassNoise | None, PassNoise | None] = (None, None),
    ) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext():
            loss = model(batch, counts, noise)["loss"]
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), model.settings.clip_norm)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        return loss.detach(), norm

    return step
