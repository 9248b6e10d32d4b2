"""Augmentation of images with boxes, batchwise on the device: zoom, shift, mirroring, colour.

A row of the truth [B, R, 6] is left, top, right, bottom in pixels, class, and 1 for a crowd; padding rows are all -1.
B = batch, C = channels, R = rows, S = pixels of a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.to_device import constant, send
from tasks.image.augment import standardised

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.contract import Batch, Prepare

ZOOM = (0.6, 1.2)  # side of the visible window, in sides of the image
COLOUR = (0.7, 1.3)  # factors of brightness, contrast and saturation
SMALLEST = 2.0  # pixels; the rest of a box that was cut is dropped if it is narrower


def from_bytes(mean: Sequence[float], std: Sequence[float], upright: bool) -> Prepare:
    """A task's `prepare`: bytes and truth to ((x / 255 - mean) / std, truth) as inputs, and the truth as target.

    Training batches are jittered first, while they are still bytes.
    """

    def prepare(inputs: tuple[Tensor, ...], target: tuple[Tensor, ...], generator: torch.Generator | None) -> Batch:
        (images_BCSS,), (truth_BR6,) = inputs, target
        if generator is not None:
            images_BCSS, truth_BR6 = jittered(images_BCSS, truth_BR6, generator, upright)
        return (standardised(images_BCSS, mean, std), truth_BR6), (truth_BR6,)

    return prepare


def jittered(
    images_BCSS: Tensor, truth_BR6: Tensor, generator: torch.Generator, upright: bool = True
) -> tuple[Tensor, Tensor]:
    """Bytes and truth of windows of 0.6 to 1.2 sides of each image, mirrored or not, with changed colours.

    Pixels beyond an image are grey. A box is kept if its centre is in the window, as in SSD's crops
    (arXiv:1512.02325, section 2.2), and cut at the window. Random numbers are drawn on the CPU, so they are the same on
    every device.

    Args:
        images_BCSS: uint8.
        truth_BR6: float32.
        generator: On the CPU.
        upright: If False, images are mirrored upside down, too.
    """
    import torch

    (draw_B8,) = send(images_BCSS.device, torch.rand(len(images_BCSS), 8, generator=generator))
    side_B1 = ZOOM[0] + (ZOOM[1] - ZOOM[0]) * draw_B8[:, :1]
    sign_B2 = 1 - 2 * (draw_B8[:, 1:3] < constant((0.5, 0.0 if upright else 0.5), draw_B8.device)).float()
    origin_B2 = draw_B8[:, 3:5] * (1 - side_B1)
    factors_B3 = COLOUR[0] + (COLOUR[1] - COLOUR[0]) * draw_B8[:, 5:]
    window_BCSS = _coloured(_window(images_BCSS.float() - 127.5, origin_B2, side_B1, sign_B2), factors_B3)
    bytes_BCSS = (window_BCSS + 127.5).round_().clamp_(0, 255).to(torch.uint8)
    return bytes_BCSS, _moved(truth_BR6, (origin_B2, side_B1, sign_B2), images_BCSS.shape[-1])


def _window(images_BCSS: Tensor, origin_B2: Tensor, side_B1: Tensor, sign_B2: Tensor) -> Tensor:
    """The content of each window, in as many pixels as the image has; 0 beyond the image."""
    from torch.nn import functional

    theta_B23 = images_BCSS.new_zeros(len(images_BCSS), 2, 3)
    theta_B23[:, 0, 0], theta_B23[:, 1, 1] = (side_B1 * sign_B2).unbind(1)
    theta_B23[:, :, 2] = 2 * (origin_B2 + side_B1 / 2) - 1
    grid_BSS2 = functional.affine_grid(theta_B23, list(images_BCSS.shape), align_corners=False)
    window_BCSS: Tensor = functional.grid_sample(images_BCSS, grid_BSS2, align_corners=False)
    return window_BCSS


def _coloured(images_BCSS: Tensor, factors_B3: Tensor) -> Tensor:
    """Brightness, contrast about each image's mean, and saturation, each times a factor; black is -127.5."""
    light, contrast, colour = (factor.view(-1, 1, 1, 1) for factor in factors_B3.unbind(1))
    images_BCSS = (images_BCSS + 127.5) * light - 127.5
    mean = images_BCSS.mean((1, 2, 3), keepdim=True)
    images_BCSS = mean + (images_BCSS - mean) * contrast
    grey = images_BCSS.mean(1, keepdim=True)
    return grey + (images_BCSS - grey) * colour


def _moved(truth_BR6: Tensor, window: tuple[Tensor, Tensor, Tensor], pixels: int) -> Tensor:
    """The truth in pixels of the window."""
    import torch

    origin_B12, side_B11, sign_B12 = (part[:, None] for part in window)
    corners_2BR2 = torch.stack([truth_BR6[..., :2], truth_BR6[..., 2:4]])
    moved_2BR2 = (corners_2BR2 - origin_B12 * pixels) / side_B11
    moved_2BR2 = torch.where(sign_B12 < 0, pixels - moved_2BR2.flip(0), moved_2BR2)
    centre_BR2, cut_2BR2 = moved_2BR2.mean(0), moved_2BR2.clamp(0, pixels)
    visible_BR = (centre_BR2 >= 0).all(-1) & (centre_BR2 <= pixels).all(-1)
    visible_BR &= (cut_2BR2[1] - cut_2BR2[0] >= SMALLEST).all(-1) & (truth_BR6[..., 4] >= 0)
    moved_BR6 = torch.cat([cut_2BR2[0], cut_2BR2[1], truth_BR6[..., 4:]], -1)
    return torch.where(visible_BR[..., None], moved_BR6, -torch.ones_like(moved_BR6))
