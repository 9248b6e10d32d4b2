"""Standardisation of images from bytes, on the device; and augmentation of small images, batchwise.

B = batch, C = channels, H, W = pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.to_device import constant, send

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.contract import Batch, Prepare


def from_bytes(mean: Sequence[float], std: Sequence[float], augment: Callable[..., Tensor] | None = None) -> Prepare:
    """A task's `prepare`: bytes [B, C, H, W] to (x / 255 - mean) / std for each channel.

    Training batches go through `augment(images, generator)` first, while they are still bytes.
    """

    def prepare(inputs: tuple[Tensor, ...], target: tuple[Tensor, ...], generator: torch.Generator | None) -> Batch:
        """(x / 255 - mean) / std for each channel of bytes [B, C, H, W]; training batches are augmented before."""
        (images_BCHW,) = inputs
        if augment is not None and generator is not None:
            images_BCHW = augment(images_BCHW, generator)
        return (standardised(images_BCHW, mean, std),), target

    return prepare


def standardised(images_BCHW: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(x / 255 - mean) / std for each channel, float32."""
    shift, scale = (constant(tuple(v), images_BCHW.device).view(-1, 1, 1) for v in (mean, std))
    return (images_BCHW.float() / 255 - shift) / scale


def crop_and_flip(images_BCHW: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """Each image padded with zeros, cropped to its size at random, and mirrored with probability 1/2.

    The augmentation of CIFAR since He et al. (arXiv:1512.03385, section 4.2). Random numbers are drawn on the CPU, so
    they are the same on every device.
    """
    import torch
    from torch.nn.functional import pad

    size, (height, width), device = len(images_BCHW), images_BCHW.shape[2:], images_BCHW.device
    offsets_B2 = torch.randint(0, 2 * padding + 1, (size, 2), generator=generator)
    flips_B = torch.randint(0, 2, (size,), generator=generator)
    offsets_B2, flips_B = send(device, offsets_B2, flips_B)
    rows_BH = offsets_B2[:, :1] + torch.arange(height, device=device)
    columns_BW = offsets_B2[:, 1:] + torch.arange(width, device=device)
    columns_BW = torch.where(flips_B[:, None].bool(), columns_BW.flip(1), columns_BW)
    padded_BHWC = pad(images_BCHW, [padding] * 4).permute(0, 2, 3, 1)
    picked_BHWC = padded_BHWC[
        torch.arange(size, device=device)[:, None, None], rows_BH[:, :, None], columns_BW[:, None]
    ]
    return picked_BHWC.permute(0, 3, 1, 2)
