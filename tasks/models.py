"""Small models for the embedded tasks. Initial weights come from torch's global generator.

B = batch, C = channels, K = classes.
"""

from __future__ import annotations

from torch import nn


def mlp(*widths: int) -> nn.Module:
    """Flatten, then linear layers of these widths with ReLU between: mlp(784, 128, 10)."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inside, outside in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(inside, outside), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn8(classes: int) -> nn.Module:
    """Two 3x3 convolutions with BatchNorm, the second with stride 2, for images [B, 1, 8, 8]."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, classes),
    )
