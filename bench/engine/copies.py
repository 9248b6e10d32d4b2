"""Copies of nested state: what a fork takes along, and what a snapshot holds."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

CPU = torch.device("cpu")  # where snapshots lie, so that a GPU need not hold members twice


def copied(state: Any, device: torch.device | None = None) -> Any:
    """A deep copy, bit for bit; its tensors lie on `device`, or where they lay."""

    def one(leaf: Any) -> Any:
        return leaf.to(device or leaf.device, copy=True) if isinstance(leaf, Tensor) else copy.deepcopy(leaf)

    return pytree.tree_map(one, state)
