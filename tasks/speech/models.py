"""A small recognizer on log-mel features. Initial weights come from torch's global generator.

B = batch, F = mel bands, K = classes, T = frames, W = width.
"""

from __future__ import annotations

from torch import Tensor, nn

from tasks.speech.logmel import BANDS


class Recognizer(nn.Module):
    """Logits [B, T / 4, K] of words and CTC's blank from features [B, 1, T, F].

    Two convolutions of 5 frames and stride 2, with BatchNorm, and a bidirectional GRU, `width` channels each.
    """

    def __init__(self, words: int, width: int, bands: int = BANDS):
        super().__init__()
        layers: list[nn.Module] = []
        for inside in (bands, width):
            layers += [nn.Conv1d(inside, width, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        self.front = nn.Sequential(*layers)
        self.memory = nn.GRU(width, width // 2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(width, words + 1)

    def forward(self, mel_B1TF: Tensor) -> Tensor:
        frames_BTW = self.front(mel_B1TF[:, 0].transpose(1, 2)).transpose(1, 2)
        logits_BTK: Tensor = self.head(self.memory(frames_BTW)[0])
        return logits_BTK
