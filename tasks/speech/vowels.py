"""Speech classification on recordings that come with sktime."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bench.contract import Data, Margin, Split, Task
from tasks import classification
from tasks.data.embedded import packaged, pick, stratified

if TYPE_CHECKING:
    from torch import nn

    from bench.contract import Array

CEPSTRA, FRAMES, SPEAKERS = 12, 29, 9


def vowels() -> Task:
    """Japanese Vowels: who of 9 speakers said /ae/, from 12 LPC cepstra a frame, with a small 1-D CNN.

    Kudo, Toyama and Shimbo (1999), Multidimensional Curve Classification Using Passing-Through Regions. The official
    split is kept: 270 utterances to learn from, of which every speaker gives 9 to control, and 370 to test on.
    """
    return classification.task(
        name="vowels",
        family="speech",
        source="Japanese Vowels in sktime (UCI, Kudo, Toyama and Shimbo; CC BY 4.0)",
        batch_size=27,
        epochs=40,
        peak_lrs=(0.025, 0.05, 0.1, 0.2, 0.4),
        layers="conv1d",
        load=load_vowels,
        model=_net,
        eval_epochs=4,
        chance="chance: 0.11; the majority class: 0.08",
        margin=Margin(0.01, "one point, four of the 370 test utterances"),
    )


@cache
def load_vowels() -> Data:
    """Frames [n, 13, 29] and labels 0 .. 8; 189 / 81 / 370 utterances.

    Utterances of 7 to 29 frames end in zeros; the 13th channel is 1 where there is a frame.
    """
    frames, labels = _utterances("TRAIN")
    train, control = (pick(i, (frames,), (labels,)) for i in stratified(labels, (189, 81), seed=270))
    frames, labels = _utterances("TEST")
    return Data(train, control, Split((frames,), (labels,)))


def _utterances(part: str) -> tuple[Array, Array]:
    """One official part. Each line of its file is an utterance: channels separated by colons, then the speaker."""
    text = packaged("sktime", f"sktime/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts").read_text()
    lines = text.partition("@data\n")[2].split()
    frames = np.zeros((len(lines), CEPSTRA + 1, FRAMES), np.float32)
    labels = np.zeros(len(lines), np.int64)
    for i, line in enumerate(lines):
        *channels, speaker = line.split(":")
        values = np.array([channel.split(",") for channel in channels], np.float32)
        frames[i, :CEPSTRA, : values.shape[1]] = values
        frames[i, CEPSTRA, : values.shape[1]] = 1
        labels[i] = int(speaker) - 1
    return frames, labels


def _net() -> nn.Module:
    from tasks.models import cnn1d

    return cnn1d(CEPSTRA + 1, 32, SPEAKERS)
