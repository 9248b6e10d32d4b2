"""Small networks that listen to log-mel features. Initial weights come from torch's global generator.

B = batch, F = mel bands, K = classes, T = frames.
"""

from __future__ import annotations

from torch import nn

from tasks.resnet import Block

WIDTHS = {"res8": 45, "res8_narrow": 19}
"""Channels of the networks of Tang and Lin (arXiv:1710.10361, table 1)."""


def res8(classes: int, width: int) -> nn.Module:
    """Eight layers for features [B, 1, T, F], the blocks of He et al. in the shape of Tang and Lin's res8.

    A 3x3 convolution, the mean over 4 frames x 3 bands, three residual blocks without stride, and a linear layer on
    the mean over all that is left.
    """
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AvgPool2d((4, 3)),
        *(Block(width, width, stride=1) for _ in range(3)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, classes),
    )
