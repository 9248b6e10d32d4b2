"""Small models for the embedded tasks. Initial weights come from torch's global generator.

B = batch, C = channels, T = frames, K = classes.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


def mlp(*widths: int) -> nn.Module:
    """Flatten, then linear layers of these widths with ReLU between them, such as 784, 128, 10."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inside, outside in pairwise(widths):
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


class Pooled(nn.Module):
    """Mean over the valid frames: those where the last input channel is 1."""

    def __init__(self, body: nn.Module, head: nn.Module):
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x_BCT: Tensor) -> Tensor:
        there_B1T = x_BCT[:, -1:]
        pooled: Tensor = self.head((self.body(x_BCT) * there_B1T).sum(-1) / there_B1T.sum(-1))
        return pooled


def cnn1d(channels: int, width: int, classes: int) -> nn.Module:
    """Two convolutions of 5 frames, a masked mean over time, and a linear layer, for frames [B, C, T]."""
    body = nn.Sequential(
        nn.Conv1d(channels, width, 5, padding=2), nn.ReLU(), nn.Conv1d(width, width, 5, padding=2), nn.ReLU()
    )
    return Pooled(body, nn.Linear(width, classes))


def cnn28(classes: int) -> nn.Module:
    """Two 3x3 convolutions with BatchNorm, each followed by a maximum over 2x2, for images [B, 1, 28, 28]."""
    layers: list[nn.Module] = []
    for inside, outside in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 7 * 7, classes))


class Grey(nn.Module):
    """Shows a grey image [B, 1, H, W] to a model of colour images, in three equal channels."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x_B1HW: Tensor) -> Tensor:
        logits: Tensor = self.model(x_B1HW.expand(-1, 3, -1, -1))
        return logits
