"""Recognition of digit strings, put together from recordings of FSDD, with CTC."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bench.contract import Array, Data, Margin, Split, Task
from tasks.data.dataset import root
from tasks.data.embedded import Draw
from tasks.data.registry import PACKS
from tasks.speech import ctc, logmel, recordings
from tasks.speech.keywords import TAKES
from tasks.speech.recordings import RATE

if TYPE_CHECKING:
    from torch import nn

SECONDS = 3
SHORTEST, LONGEST = 3, 5
SIZES = (1600, 200, 200)
"""Strings of the train, control and test split."""


def digits_ctc() -> Task:
    """Strings of three to five digits, put together from the clips of one speaker of FSDD, recognized with CTC.

    Between clips there is a pause of up to 0.1 s. 1,600 strings of takes 10 to 49 to learn from, 200 of takes 5 to 9
    as control, and 200 of takes 0 to 4, the official test split; the strings are the same in every run. Two
    convolutions and a bidirectional GRU on log-mel features, greedy decoding, judged by the word error rate.
    """
    return Task(
        name="digits_ctc",
        family="speech",
        source=f"{PACKS['fsdd'].source}; strings of its clips, takes 0 to 4 are test, 5 to 9 control",
        batch_size=32,
        epochs=15,
        metric="wer",
        direction="min",
        optimizer="adamw",
        weight_decay=0.01,
        peak_lrs=(1e-3, 3e-3, 1e-2),
        layers="recurrent",
        load=load,
        model=_net,
        loss=ctc.loss,
        score=ctc.score,
        baseline=ctc.constant,
        prepare=logmel.features(RATE),
        clip=5.0,
        chance="to say nothing: 1.00; the most frequent digit, repeated: 1.01",
        margin=Margin(0.01, "one word in a hundred"),
    )


def load() -> Data:
    """Samples [N, 24000] int16 and words [N, 5] int64: digits + 1, and 0 after the last.

    Raises:
        InputError: the data are missing or invalid.
    """
    return _loaded(root())


@cache
def _loaded(_root: str) -> Data:
    takes = recordings.digits().takes
    parts = takes >= 2 * TAKES, (takes >= TAKES) & (takes < 2 * TAKES), takes < TAKES
    return Data(*(strings(part, size, seed) for seed, (part, size) in enumerate(zip(parts, SIZES, strict=True))))


def strings(part: Array, size: int, seed: int) -> Split:
    """`size` strings of clips of a part of FSDD. A clip that would exceed 3 s ends its string; three always fit."""
    clips, draw = recordings.digits(), Draw(seed)
    speakers = sorted(set(clips.speakers.tolist()))
    own = [np.flatnonzero(part & (clips.speakers == speaker)) for speaker in speakers]
    waves = np.zeros((size, RATE * SECONDS), np.int16)
    words = np.zeros((size, LONGEST), np.int64)
    voices = draw.integers(0, len(speakers), size).tolist()
    lengths = draw.integers(SHORTEST, LONGEST + 1, size).tolist()
    picks, pauses = draw.uniform(size, LONGEST), draw.integers(0, RATE // 10 + 1, size, LONGEST)
    for n, (speaker, length) in enumerate(zip(voices, lengths, strict=True)):
        end = 0
        for i in range(length):
            clip = own[speaker][int(picks[n, i] * len(own[speaker]))]
            start = end + int(pauses[n, i])
            end = start + len(wave := clips.waves[clip][: RATE * 9 // 10])
            if end > waves.shape[1]:
                break
            waves[n, start:end] = wave
            words[n, i] = clips.digits[clip] + 1
    return Split((waves,), (words,))


def _net() -> nn.Module:
    from tasks.speech.models import Recognizer

    return Recognizer(10, width=64)
