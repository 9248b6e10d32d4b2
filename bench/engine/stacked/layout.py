"""Stacked rows: their layout in memory, and their selection. W = rows, P = weights of one member."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

NamedTensors: TypeAlias = dict[str, Tensor]
T = TypeVar("T")


def pick_rows(tensor_WP: Tensor, rows: Sequence[int]) -> Tensor:
    """A copy of these rows of `tensor_WP`."""
    return tensor_WP.index_select(0, torch.tensor(rows, dtype=torch.long, device=tensor_WP.device))


def layout(grad: Tensor) -> tuple[list[int], list[int]]:
    """Layout of a weight in memory, which is that of its gradient, so that copying gradients is fast.

    Returns:
        The shape in memory, and the permutation of axes from a stack of that shape to the stacked weight.
    """
    outer = sorted(range(grad.ndim), key=grad.stride, reverse=True)
    return [grad.shape[axis] for axis in outer], [0, *(1 + outer.index(axis) for axis in range(grad.ndim))]


def pad_rows(rows: Sequence[T], least: int) -> list[T]:
    """Entries for rows, [W], of those for members: the last one is repeated until there are `least`, or none at all."""
    return [*rows, *list(rows[-1:]) * (least - len(rows))]


def stack_twice(tensor: Tensor) -> Tensor:
    """A tensor of the first member and of its shadow, [2, ...]."""
    return torch.stack((tensor, tensor))


def clone_tensors(tensors: NamedTensors) -> NamedTensors:
    """Copies of all tensors."""
    return {name: t.clone() for name, t in tensors.items()}


def pick_rows_of_all(tensors: NamedTensors, rows: Sequence[int]) -> NamedTensors:
    """Copies of these rows of all tensors."""
    return {name: pick_rows(t, rows) for name, t in tensors.items()}
