"""Recordings of the user's own, in a folder for each class.

N = clips, S = samples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.contract import Data, InputError, Split, Task
from schedules.spec import choose
from tasks.data import checkpoint, places
from tasks.data.dataset import root
from tasks.own import folders, scores, splits
from tasks.speech import logmel, pretrained, recordings
from tasks.speech.keywords import LAYERS

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bench.contract import Batch, Prepare

LAYOUT = "DIR/CLASS/x.wav, or DIR/train/CLASS/x.wav and the same in validation and test"
LONGEST = 5.0
"""Seconds of a clip at most, unless `seconds` says otherwise."""


class Sounds(NamedTuple):
    """Data, names of the classes, and samples per second."""

    labelled: splits.Labelled
    rate: int


def audiofolder(
    folder: str = "audiofolder",
    model: str = "resnet8",
    *,
    seconds: float = 0.0,
    metric: str = scores.HEADLINE,
    margin: float = scores.MARGIN,
) -> Task:
    """Recordings in a folder for each class, `audiofolder('DIR')`: DIR/CLASS/x.wav or DIR/train/CLASS/x.wav.

    WAV or FLAC with one channel and 16 bits, all at one sampling rate; others are refused. All clips get one length:
    longer ones keep their middle, shorter ones are padded with silence. Splits are the folders train, validation and
    test where there are some, else by a rule on content (`tasks/own/splits.py`).

    Args:
        folder: A path, or the name of a folder in the one that --data names.
        model: resnet8, resnet14 or resnet20 on log-mel features; or a classifier of audio of transformers, fine-tuned:
            the folder of a checkpoint, or its name on the hub.
        seconds: Length of every clip; 0 for that of the longest recording, 5 at most.
        metric: The headline: balanced_accuracy, macro_f1 or accuracy.
        margin: The smallest difference of it worth having.

    Raises:
        InputError: no such model or metric, or a setting out of range.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not (seconds == 0 or 0.1 <= seconds <= 60):
        raise InputError(f"audiofolder: seconds is the length of every clip, from 0.1 to 60, not {seconds!r}")
    place = places.recorded("audiofolder", folder)
    is_pretrained = model not in LAYERS and pretrained.is_checkpoint(model)
    model = places.recorded_checkpoint(model) if is_pretrained else model
    settings = {"model": model, "seconds": seconds, "metric": metric, "margin": margin}
    sounds = partial(_read, place, seconds)
    return scores.classes_task(
        kind="audiofolder",
        place=place,
        metric=metric,
        margin=margin,
        read=lambda: sounds().labelled,
        name=places.call(audiofolder, place, settings),
        family="speech",
        batch_size=32,
        eval_epochs=2,
        **(_tuned if is_pretrained else _residual)(model, sounds),
    )


def _residual(model: str, sounds: Callable[[], Sounds]) -> dict[str, Any]:
    layers = choose(model, LAYERS, "model of audiofolder, besides a checkpoint's folder or OWNER/NAME,")

    def build() -> nn.Module:
        from tasks.image.resnet import resnet

        return resnet(layers, len(sounds().labelled.names), channels=1, stride=2)

    return {
        "epochs": 30,
        "weight_decay": 1e-4,
        "peak_lrs": (0.01, 0.03, 0.1),
        "layers": "residual",
        "model": build,
        "prepare": _prepare(lambda: logmel.features(sounds().rate)),
    }


def _tuned(model: str, sounds: Callable[[], Sounds]) -> dict[str, Any]:
    return {
        "load": lambda: checkpoint.stamped(sounds().labelled.data, model),
        "epochs": 10,
        "optimizer": "adamw(decay='matrices')",
        "weight_decay": 0.01,
        "peak_lrs": (1e-5, 3e-5, 1e-4),
        "clip": 1.0,
        "layers": "large",
        "model": lambda: pretrained.model(model, len(sounds().labelled.names)),
        "prepare": _prepare(lambda: pretrained.prepare(model, sounds().rate)),
    }


def _prepare(make: Callable[[], Prepare]) -> Prepare:
    """A `prepare` that is made at its first use, since it depends on the sampling rate."""
    once = cache(make)

    def prepared(inputs: tuple[Tensor, ...], target: tuple[Tensor, ...], generator: torch.Generator | None) -> Batch:
        """Log-mel features (`tasks.speech.logmel.features`), or the input of a checkpoint's own feature extractor."""
        return once()(inputs, target, generator)

    return prepared


def _read(place: str, seconds: float) -> Sounds:
    """Clips [N, S] int16 of one length: longer ones keep their middle, shorter ones are padded with silence."""
    return _loaded(place, seconds, root())


@cache
def _loaded(place: str, seconds: float, _root: str) -> Sounds:
    pack = places.own("audiofolder", place, LAYOUT)
    listing = folders.read(pack, (".wav", ".flac"))
    rate = _rate(pack, listing.files[0])
    waves = [recordings.samples(pack, file, file.read_bytes(), rate) for file in listing.files]
    longest = max(map(len, waves))
    length = round(seconds * rate) or min(longest, round(LONGEST * rate))
    clips, stamp = recordings.windows(waves, max(length, rate // 10)), "\n".join([str(rate), *listing.names])
    parts = [Split((clips[index],), (listing.labels[index],), stamp) for index in listing.splits]
    return Sounds(splits.Labelled(Data(*parts), listing.names), rate)


def _rate(pack: places.OwnPack, file: Path) -> int:
    """Samples per second of a recording: of the first one, which all others have to share."""
    import soundfile

    try:
        return int(soundfile.info(file).samplerate)
    except soundfile.LibsndfileError:
        raise pack.wrong(file, "holds no whole recording") from None
