"""Copies of models and of nested state, for forks and checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

CPU = torch.device("cpu")  # checkpoints are copied there, so that a GPU need not hold members twice


def clone_model(model: nn.Module) -> nn.Module:
    """A deep copy of a model that shares the weights that are not trained."""
    # Nothing changes those weights, and they may be most of the model: LoRA trains a thousandth of them.
    return copy.deepcopy(model, {id(p): p for p in model.parameters() if not p.requires_grad})


def clone_state(state: Any, device: torch.device | None = None) -> Any:
    """A deep copy of nested state, bit for bit. Its tensors are on `device`, by default on the device of each."""

    def clone(leaf: Any) -> Any:
        return leaf.to(device or leaf.device, copy=True) if isinstance(leaf, Tensor) else copy.deepcopy(leaf)

    return pytree.tree_map(clone, state)


def contiguous_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, each contiguous and with memory of its own, as files of weights need them."""
    copies = {name: t.detach().to(CPU) for name, t in tensors.items()}
    return {name: t.clone(memory_format=torch.contiguous_format) for name, t in copies.items()}
