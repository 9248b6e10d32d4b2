"""The residual networks of the CIFAR family (He et al., arXiv:1512.03385, section 4.2): 6 n + 2 layers.

B = batch, C = channels, H, W = pixels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights (option A): every second pixel, new channels are zero."""

    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outside)
        self.second = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outside)
        self.stride, self.new = stride, outside - inside

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = self.second_norm(self.second(self.first_norm(self.first(x_BCHW)).relu()))
        short_BCHW = x_BCHW[:, :, :: self.stride, :: self.stride]
        if self.new:
            short_BCHW = functional.pad(short_BCHW, (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))
        out_BCHW: Tensor = (y_BCHW + short_BCHW).relu()
        return out_BCHW


def resnet(layers: int, classes: int, channels: int = 3, stride: int = 1) -> nn.Module:
    """ResNet-20, -32, -44, -56 or -110, for images [B, 3, 32, 32]: 16, 32 and 64 channels, He's initial weights.

    ResNet-8 with a first convolution of stride 2 is used for features of sound, [B, 1, T, F].
    """
    blocks = (layers - 2) // 6
    first = nn.Conv2d(channels, 16, 3, stride, padding=1, bias=False)
    body: list[nn.Module] = [first, nn.BatchNorm2d(16), nn.ReLU()]
    inside = 16
    for outside in (16, 32, 64):
        for i in range(blocks):
            body.append(Block(inside, outside, stride=2 if i == 0 and outside > 16 else 1))
            inside = outside
    model = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    return model
