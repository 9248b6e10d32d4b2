"""Which word was said: spoken digits and commands, with a small residual net or a pretrained model."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.call import choose, render
from bench.contract import Array, Baseline, Data, Split, Stream, Task
from tasks import classification, logmel, recordings
from tasks.pack import root
from tasks.packs import PACKS

if TYPE_CHECKING:
    from torch import nn

USUAL = "res8_narrow"
MODELS = ("res8", "res8_narrow")
TAKES = 5
"""Takes 0 to 4 of FSDD are the official test split; as many after them are held out as control."""


def fsdd(holdout: str = "", *, model: str = USUAL) -> Task:
    """The Free Spoken Digit Dataset: which of ten digits one of six speakers said, in 1 s at 8 kHz.

    Takes 0 to 4 of each speaker and digit are the official test split (300 clips); takes 5 to 9 are held out as
    control (300), and 2,400 clips are learnt from. With a speaker held out, all 500 clips of that one are the test
    split, takes 0 to 4 of the others control (250), and their other 2,250 clips are learnt from.

    Args:
        holdout: A speaker: george, jackson, lucas, nicolas, theo or yweweler.
        model: res8_narrow or res8, small residual nets on log-mel features.

    Raises:
        InputError: no such speaker, or no such model.
    """
    settings = {"holdout": recordings.speaker(holdout)} if holdout else {}
    pack = PACKS["fsdd"]
    part = f"test is {holdout}, takes 0 to 4 of the others control" if holdout else "takes 5 to 9 are control"
    return _task(
        name="fsdd",
        settings=settings,
        model=model,
        rate=8000,
        classes=10,
        source=f"{pack.source}; {part}",
        batch_size=32,
        epochs=20,
        load=partial(_digits, holdout),
        chance="chance and the majority class: 0.10",
    )


def _digits(holdout: str) -> Data:
    return _digits_of(holdout, root())


@cache
def _digits_of(holdout: str, _root: str) -> Data:
    clips = recordings.digits()
    held, theirs = recordings.windows(clips.waves, 8000), clips.speakers == holdout
    test = theirs if holdout else clips.takes < TAKES
    control = ~test & (clips.takes < (TAKES if holdout else 2 * TAKES))
    return Data(*(Split((held[part],), (clips.digits[part],)) for part in (~test & ~control, control, test)))


def speech_commands_v002_testset12(model: str = USUAL) -> Task:
    """The official test set of Speech Commands 0.02, split anew by speaker: ten commands, silence, and other words.

    2,942 clips to learn from, 1,022 control, 926 test, with no speaker in two of them; figures are not those of
    Speech Commands, of which this is a twentieth.

    Args:
        model: res8_narrow or res8, small residual nets on log-mel features.

    Raises:
        InputError: no such model.
    """
    return _task(
        name="speech_commands_v002_testset12",
        model=model,
        rate=16_000,
        classes=len(recordings.CLASSES),
        source=f"{PACKS['speech_commands_v002_testset12'].source}; split by speaker",
        batch_size=32,
        epochs=30,
        load=_keywords,
        chance="chance: 0.08; the majority class: 0.09",
    )


def _keywords() -> Data:
    return _keywords_of(root())


@cache
def _keywords_of(_root: str) -> Data:
    parts = (recordings.keywords(part) for part in ("train", "validation", "test"))
    return Data(*(Split((waves,), (labels,)) for waves, labels in parts))


def _task(
    *, name: str, model: str, rate: int, classes: int, settings: dict[str, Any] | None = None, **more: Any
) -> Task:
    said = (settings or {}) | ({} if model == USUAL else {"model": model})
    choose(model, dict.fromkeys(MODELS), f"model of {name}")
    return classification.task(
        name=render(name, (), said),
        family="speech",
        weight_decay=1e-4,
        peak_lrs=(0.03, 0.1, 0.3),
        layers="conv2d",
        model=partial(_net, model, classes),
        prepare=logmel.features(rate),
        baseline=partial(nearest, rate),
        **more,
    )


def _net(name: str, classes: int) -> nn.Module:
    from tasks.acoustic import WIDTHS, res8

    return res8(classes, WIDTHS[name])


def nearest(rate: int, data: Data) -> Baseline:
    """Accuracy on the test split of the class whose mean log-mel spectrum, over time and clips, is the nearest."""
    spectra, truth = _spectra(data.test, rate), data.test.target[0]
    known, labels = _spectra(data.train, rate), data.train.target[0]
    classes = np.unique(labels)
    means = np.stack([known[labels == label].mean(0) for label in classes])
    guess = classes[((spectra[:, None] - means) ** 2).sum(2).argmin(1)]
    return Baseline("nearest class mean", float(np.mean(guess == truth)))


def _spectra(split: Split | Stream, rate: int) -> Array:
    """The mean over time of the log-mel features of each clip, [N, F]."""
    import torch

    assert isinstance(split, Split)
    prepare = logmel.features(rate)
    parts = (prepare((part,), (), None)[0][0] for part in torch.split(torch.from_numpy(split.inputs[0]), 256))
    means: Array = torch.cat([part.mean((1, 2)) for part in parts]).numpy()
    return means
