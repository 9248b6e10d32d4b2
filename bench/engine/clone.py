"""Copies of nested state: what a fork takes along, and what a snapshot holds."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

CPU = torch.device("cpu")  # where snapshots lie, so that a GPU need not hold members twice


def twin(model: nn.Module) -> nn.Module:
    """A copy of a model. Weights that are not trained stay the model's own: nobody changes them, and they may be many.

    So it is with adapters of low rank, which train a thousandth of what lies in memory.
    """
    return copy.deepcopy(model, {id(p): p for p in model.parameters() if not p.requires_grad})


def copied(state: Any, device: torch.device | None = None) -> Any:
    """A deep copy, bit for bit; its tensors lie on `device`, or where they lay."""

    def one(leaf: Any) -> Any:
        return leaf.to(device or leaf.device, copy=True) if isinstance(leaf, Tensor) else copy.deepcopy(leaf)

    return pytree.tree_map(one, state)
