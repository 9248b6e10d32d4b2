"""LR and momentum in the groups of an optimizer, as torch's own schedulers handle them. Imports torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from schedules.contract import InputError


def copy_lr(lr: Any) -> Any:
    """Copy an LR that may be changed in place later: clone a tensor, or return a float."""
    return lr.clone() if isinstance(lr, Tensor) else float(lr)


def fill(group: dict[str, Any], key: str, value: float) -> None:
    """Set a number of a group, in place if it is a tensor."""
    if isinstance(group[key], Tensor):  # a captured CUDA graph reads this tensor
        group[key].fill_(value)
    else:
        group[key] = value


def set_momentum(optimizer: Optimizer, group: dict[str, Any], momentum: float | None) -> None:
    """Set a group's momentum (Adam's first beta); None restores its own, if it was ever changed.

    Raises:
        InputError: a momentum for an optimizer without one.
    """
    key = next((key for key in ("momentum", "betas") if key in group), None)
    if key is None:
        if momentum is not None:
            raise InputError(f"{type(optimizer).__name__} has no momentum to cycle: use sgd, rmsprop or Adam's family")
        return
    current = group[key][0] if key == "betas" else group[key]
    if momentum is not None:
        group.setdefault("initial_momentum", float(current))
    elif (momentum := group.pop("initial_momentum", None)) is None:
        return
    if key == "betas":
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
