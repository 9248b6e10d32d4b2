"""Stacked rows: how they lie in memory, and how they are picked. W = rows, P = weights of one member."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Named: TypeAlias = dict[str, Tensor]


def picked(tensor_WP: Tensor, rows: Sequence[int]) -> Tensor:
    """A copy of these rows."""
    return tensor_WP.index_select(0, torch.tensor(rows, dtype=torch.long, device=tensor_WP.device))


def layout(grad: Tensor) -> tuple[list[int], list[int]]:
    """How a weight lies in memory: as its gradient comes, which is then copied fast.

    Returns:
        The shape in memory, and the axes of a stack of such shapes that are the stacked weight's.
    """
    outer = sorted(range(grad.ndim), key=grad.stride, reverse=True)
    return [grad.shape[axis] for axis in outer], [0, *(1 + outer.index(axis) for axis in range(grad.ndim))]


def paired(rows: Sequence[int]) -> list[int]:
    """Rows of members; a lone one stands twice."""
    return [*rows, *rows] if len(rows) == 1 else list(rows)


def twice(tensor: Tensor) -> Tensor:
    """A first member and its shadow."""
    return torch.stack((tensor, tensor))


def cloned(tensors: Named) -> Named:
    return {name: t.clone() for name, t in tensors.items()}


def selected(tensors: Named, rows: Sequence[int]) -> Named:
    return {name: picked(t, rows) for name, t in tensors.items()}
