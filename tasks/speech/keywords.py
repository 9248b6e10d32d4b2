"""Classification of spoken digits and commands, with a small residual net or a pretrained model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract import Array, Baseline, Data, Margin, Split, Stream, Task
from schedules.spec import choose, render
from tasks import classification
from tasks.data import checkpoint
from tasks.data.dataset import root
from tasks.data.registry import PACKS
from tasks.speech import logmel, pretrained, recordings

if TYPE_CHECKING:
    from torch import nn

USUAL = "resnet8"
LAYERS = {f"resnet{layers}": layers for layers in (8, 14, 20)}
TAKES = 5
"""Takes 0 to 4 of FSDD are the official test split; the next 5 are held out as control."""


def fsdd(holdout: str = "", *, model: str = USUAL) -> Task:
    """The Free Spoken Digit Dataset: which of ten digits one of six speakers said, in 1 s at 8 kHz.

    Takes 0 to 4 of each speaker and digit are the official test split (300 clips); takes 5 to 9 are held out as
    control (300), and 2,400 clips are learnt from. With a speaker held out, all 500 clips of that one are the test
    split, takes 0 to 4 of the others control (250), and their other 2,250 clips are learnt from.

    Args:
        holdout: A speaker: george, jackson, lucas, nicolas, theo or yweweler.
        model: resnet8, resnet14 or resnet20, of the CIFAR family, on log-mel features; or a classifier of audio of
            transformers, fine-tuned: the folder of a checkpoint, or its name on the hub.

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
        rate=recordings.RATE,
        classes=10,
        source=f"{pack.source}; {part}",
        batch_size=32,
        epochs=10,
        load=partial(_digits, holdout),
        chance="chance and the majority class: 0.10; the nearest class mean: 0.57, with no speaker held out",
    )


def _digits(holdout: str) -> Data:
    return _digits_of(holdout, root())


@cache
def _digits_of(holdout: str, _root: str) -> Data:
    clips = recordings.digits()
    waves, is_holdout = recordings.windows(clips.waves, recordings.RATE), clips.speakers == holdout
    test = is_holdout if holdout else clips.takes < TAKES
    control = ~test & (clips.takes < (TAKES if holdout else 2 * TAKES))
    return Data(*(Split((waves[part],), (clips.digits[part],)) for part in (~test & ~control, control, test)))


def speech_commands(model: str = USUAL) -> Task:
    """Speech Commands 0.02 (arXiv:1804.03209): ten commands, silence, and other words, in 1 s at 16 kHz.

    The official splits, of which validation is control. Of the other words there are as many as of a command in the
    mean, by a fixed choice, to learn from and for control; all are in the official test split. There, silence is
    given in clips; elsewhere the long recordings of background noise are cut into seconds.

    Args:
        model: resnet8, resnet14 or resnet20, of the CIFAR family, on log-mel features; or a classifier of audio of
            transformers, fine-tuned: the folder of a checkpoint, or its name on the hub.

    Raises:
        InputError: no such model.
    """
    return _task(
        name="speech_commands",
        model=model,
        rate=recordings.SECOND,
        classes=len(recordings.CLASSES),
        source=f"{PACKS['speech_commands'].source}; validation is control",
        batch_size=128,
        epochs=20,
        load=partial(_commands, "speech_commands"),
        chance="chance and the majority class: 0.08 to 0.09",
    )


def speech_commands_v002_testset12(model: str = USUAL) -> Task:
    """The official test set of Speech Commands 0.02, split anew by speaker: ten commands, silence, and other words.

    2,942 clips to learn from, 1,022 control, 926 test, with no speaker in two of them; figures are not those of
    Speech Commands, of which this is a twentieth.

    Args:
        model: resnet8, resnet14 or resnet20, of the CIFAR family, on log-mel features; or a classifier of audio of
            transformers, fine-tuned: the folder of a checkpoint, or its name on the hub.

    Raises:
        InputError: no such model.
    """
    return _task(
        name="speech_commands_v002_testset12",
        model=model,
        rate=recordings.SECOND,
        classes=len(recordings.CLASSES),
        source=f"{PACKS['speech_commands_v002_testset12'].source}; split by speaker",
        batch_size=32,
        epochs=20,
        load=partial(_commands, "speech_commands_v002_testset12"),
        chance="chance: 0.08; the majority class: 0.10; the nearest class mean: 0.33",
    )


def _commands(pack: str) -> Data:
    return _commands_of(pack, root())


@cache
def _commands_of(pack: str, _root: str) -> Data:
    parts = (recordings.commands(PACKS[pack], part) for part in ("train", "validation", "test"))
    return Data(*(Split((waves,), (labels,)) for waves, labels in parts))


def _task(*, name: str, model: str, rate: int, classes: int, **more: Any) -> Task:
    settings = more.pop("settings", {}) | ({} if model == USUAL else {"model": model})
    # The name of a residual net means that net, even where a folder of that name exists.
    is_pretrained = model not in LAYERS and pretrained.is_checkpoint(model)
    if is_pretrained:
        more |= _pretrained(model, rate, classes, more["load"])
    else:
        more |= _residual(model, rate, classes)
    return classification.task(
        name=render(name, (), settings),
        family="speech",
        layers="large" if is_pretrained else "residual",
        baseline=partial(nearest, rate),
        margin=Margin(0.005, "half a point"),
        **more,
    )


def _residual(model: str, rate: int, classes: int) -> dict[str, Any]:
    layers = choose(model, LAYERS, "model for speech, besides a checkpoint's folder or OWNER/NAME,")
    return {
        "weight_decay": 1e-4,
        "peak_lrs": (0.03, 0.1, 0.3),
        "model": partial(_net, layers, classes),
        "prepare": logmel.features(rate),
    }


def _pretrained(model: str, rate: int, classes: int, load: Callable[[], Data]) -> dict[str, Any]:
    return {
        "load": lambda: checkpoint.stamped(load(), model),
        "optimizer": "adamw(decay='matrices')",
        "weight_decay": 0.01,
        "peak_lrs": (1e-5, 3e-5, 1e-4),
        "clip": 1.0,
        "model": partial(pretrained.model, model, classes),
        "prepare": pretrained.prepare(model, rate),
    }


def _net(layers: int, classes: int) -> nn.Module:
    from tasks.image.resnet import resnet

    return resnet(layers, classes, channels=1, stride=2)


def nearest(rate: int, data: Data) -> Baseline:
    """Accuracy on the test split of nearest class means: of log-mel spectra, averaged over time and clips."""
    spectra, truth = _spectra(data.test, rate), data.test.target[0]
    train, labels = _spectra(data.train, rate), data.train.target[0]
    classes = np.unique(labels)
    means = np.stack([train[labels == label].mean(0) for label in classes])
    guess = classes[((spectra[:, None] - means) ** 2).sum(2).argmin(1)]
    return Baseline("nearest class mean", float(np.mean(guess == truth)))


def _spectra(split: Split | Stream, rate: int) -> Array:
    """Mean over time of the log-mel features of each clip, [N, F]."""
    import torch

    assert isinstance(split, Split)
    prepare = logmel.features(rate)
    parts = (prepare((part,), (), None)[0][0] for part in torch.split(torch.from_numpy(split.inputs[0]), 256))
    means: Array = torch.cat([part.mean((1, 2)) for part in parts]).numpy()
    return means
