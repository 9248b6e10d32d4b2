"""What a scheduler reads and writes in the groups of an optimizer, as torch's own do. Imports torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from schedules.contract import InputError


def copied(lr: Any) -> Any:
    """An LR that nobody changes later: a tensor's clone, or a number."""
    return lr.clone() if isinstance(lr, Tensor) else float(lr)


def fill(group: dict[str, Any], key: str, value: float) -> None:
    """Set a number where it is kept."""
    if isinstance(group[key], Tensor):  # in place: a captured graph reads it there
        group[key].fill_(value)
    else:
        group[key] = value


def set_momentum(optimizer: Optimizer, group: dict[str, Any], momentum: float | None) -> None:
    """Set a group's momentum, in Adam's family the first beta; None gives it back its own, if it was ever taken.

    Raises:
        InputError: a momentum for an optimizer that has none.
    """
    key = next((key for key in ("momentum", "betas") if key in group), None)
    if key is None:
        if momentum is not None:
            raise InputError(f"{type(optimizer).__name__} has no momentum to cycle: use sgd, rmsprop or Adam's family")
        return
    now = group[key][0] if key == "betas" else group[key]
    if momentum is not None:
        group.setdefault("initial_momentum", float(now))
    elif (momentum := group.pop("initial_momentum", None)) is None:
        return
    if key == "betas":
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
