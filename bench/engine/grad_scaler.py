"""Loss scaling for fp16: the rule of `torch.amp.GradScaler` for one member, as data that forks and is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

INITIAL, GROWTH, BACKOFF, INTERVAL = 2.0**16, 2.0, 0.5, 2000
"""Of the scale: its first value, its factor after INTERVAL updates in a row, and its factor after one skipped."""


class Scaler:
    """Scales a member's loss, and skips the update whose gradient overflows.

    Adam and AdamW learn of it on the device; for the others each update waits for the device to say.

    A loss that overflows is skipped, too. What is not finite at a scale of 1 or less is the member's own: it is left as
    it is, and told as diverged. `torch.amp.GradScaler` would skip for ever.

    Attributes:
        scale: Of the next loss.
        streak: Updates in a row that were not skipped.
        skips: 1 if the loss or the gradient held has overflowed, which is then 0.
    """

    def __init__(self, device: torch.device):
        self.scale = torch.full((), INITIAL, device=device)
        self.streak = torch.zeros((), dtype=torch.int32, device=device)
        self.skips = torch.zeros((), device=device)

    def unscale(self, grads: list[Tensor], loss: Tensor) -> None:
        """Divide gradients by the scale in place, and see whether they or the loss have overflowed."""
        torch._foreach_mul_(grads, self.scale.double().reciprocal().float())
        norm = torch.nn.utils.get_total_norm(grads, norm_type=float("inf"))
        self.skips = (~(norm.isfinite() & loss.isfinite()) & (self.scale > 1)).float()
        for grad in grads:
            grad.masked_fill_(self.skips.bool(), 0.0)

    def chosen(self, skipped: Tensor | float, usual: Tensor) -> Tensor:
        """The one if the update is to be skipped, the other if not; never waits for the device."""
        return torch.where(self.skips.bool(), skipped, usual)

    def step(self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any]) -> None:
        """The optimizer's update, unless it is to be skipped; then the scale for the next."""
        if getattr(optimizer, "_step_supports_amp_scaling", False):  # a fused kernel, which reads it on the device
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
        """Become a copy of the scaler that `state` tells of."""
        device = self.scale.device
        self.scale, self.streak, self.skips = (state[k].to(device, copy=True) for k in ("scale", "streak", "skips"))
