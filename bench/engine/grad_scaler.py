"""Loss scaling for fp16: the rule of `torch.amp.GradScaler` for one member, with state that can be forked and saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

INITIAL, GROWTH, BACKOFF, INTERVAL = 2.0**16, 2.0, 0.5, 2000
"""The first scale, its factor after INTERVAL updates in a row, and its factor after a skipped update."""


class Scaler:
    """Scales a member's loss, and skips an update whose loss or gradient overflows.

    Fused Adam and AdamW read the decision on the device; for other optimizers each update synchronises.

    A loss or gradient that is not finite at a scale of 1 or less is no overflow: it stays, and the member counts as
    diverged. `torch.amp.GradScaler` would skip updates for ever.

    Attributes:
        scale: Factor of the next loss, [].
        streak: Updates since the last skipped one or the last change of scale, [].
        skips: 1 if the present loss or gradient has overflowed, else 0, [].
    """

    def __init__(self, device: torch.device):
        self.scale = torch.full((), INITIAL, device=device)
        self.streak = torch.zeros((), dtype=torch.int32, device=device)
        self.skips = torch.zeros((), device=device)

    def unscale(self, grads: list[Tensor], loss: Tensor) -> None:
        """Divide gradients by the scale in place, and detect overflow; gradients that overflow are set to 0."""
        torch._foreach_mul_(grads, self.scale.double().reciprocal().float())
        norm = torch.nn.utils.get_total_norm(grads, norm_type=float("inf"))
        self.skips = (~(norm.isfinite() & loss.isfinite()) & (self.scale > 1)).float()
        for grad in grads:
            grad.masked_fill_(self.skips.bool(), 0.0)

    def select(self, skipped: Tensor | float, usual: Tensor) -> Tensor:
        """`skipped` if the update is to be skipped, else `usual`; does not synchronise."""
        return torch.where(self.skips.bool(), skipped, usual)

    def step(self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any]) -> None:
        """Step the optimizer unless the update is to be skipped, then adjust the scale."""
        if getattr(optimizer, "_step_supports_amp_scaling", False):  # a fused kernel reads it on the device
            optimizer.grad_scale, optimizer.found_inf = None, self.skips  # type: ignore[attr-defined]
            optimizer.step(closure)
            del optimizer.grad_scale, optimizer.found_inf  # type: ignore[attr-defined]
        elif not self.skips.item():
            optimizer.step(closure)
        skipped = self.skips.bool()
        grown = self.streak + 1 >= INTERVAL
        factor = torch.where(skipped, BACKOFF, torch.where(grown, GROWTH, 1.0))
        self.scale = self.scale * factor
        self.streak = torch.where(skipped | grown, 0, self.streak + 1).int()

    def tensors(self) -> dict[str, Tensor]:
        return {"scale": self.scale, "streak": self.streak, "skips": self.skips}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore a state that `tensors` returned."""
        device = self.scale.device
        self.scale, self.streak, self.skips = (state[k].to(device, copy=True) for k in ("scale", "streak", "skips"))
