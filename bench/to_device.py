"""Small tensors on their way to a device, for which no update waits."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def send(device: torch.device, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors of one dtype on the CPU, on a device: by one copy, from pinned memory where the device is CUDA's.

    On the CPU they are returned as they are.
    """
    import torch

    if device.type == "cpu":
        return tensors
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    flat = (flat.pin_memory() if device.type == "cuda" else flat).to(device, non_blocking=True)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return tuple(part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True))


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers as float32 on a device, copied once. Do not change the tensor in place."""
    import torch

    return torch.tensor(values, dtype=torch.float32, device=device)
