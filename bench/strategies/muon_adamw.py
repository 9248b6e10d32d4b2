"""One optimizer of two: `torch.optim.Muon` on some groups, `torch.optim.AdamW` on the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

HIDDEN = "muon"
"""Key of a group: True if its weights are Muon's."""


class MuonAdamW(torch.optim.Optimizer):
    """Steps Muon, then AdamW. Both keep their state here, by weight.

    Args:
        groups: Groups of weights, each with HIDDEN.
        lr: LR of groups without one.
        muon: Further arguments of `torch.optim.Muon`. Its momentum is that of the optimizer.
        adamw: Further arguments of `torch.optim.AdamW`.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, muon: dict[str, Any], adamw: dict[str, Any]):
        self._parts = (
            torch.optim.Muon([g for g in groups if g[HIDDEN]], lr=lr, **muon),
            torch.optim.AdamW([g for g in groups if not g[HIDDEN]], lr=lr, **adamw),
        )
        super().__init__([{"params": g["params"]} for g in groups], {"lr": lr, "momentum": muon["momentum"]})
        self.param_groups = [group for part in self._parts for group in part.param_groups]
        for part in self._parts:
            part.state = self.state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of both; the closure is called once, for the loss."""
        loss = None if closure is None else closure()
        for part in self._parts:
            part.step()  # type: ignore[no-untyped-call]
        return loss
