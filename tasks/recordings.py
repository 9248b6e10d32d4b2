"""Recordings, whole in memory as 16-bit samples: read in their publishers' layouts, and checked.

N = clips, S = samples.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.contract import Array, InputError
from tasks.data import Draw
from tasks.pack import Pack, root
from tasks.packs import PACKS

if TYPE_CHECKING:
    from datasets import Dataset

RATE = 8000
"""Samples a second of FSDD."""

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


class Digits(NamedTuple):
    """All clips of FSDD, in the order of speaker, digit and take."""

    waves: tuple[Array, ...]  # of each [S] int16
    digits: Array  # [N] int64
    speakers: Array  # [N] of SPEAKERS
    takes: Array  # [N] int64, from 0 in each speaker and digit


def digits() -> Digits:
    """FSDD, 8,000 samples a second.

    Raises:
        InputError: the data are not there, or not what they should be.
    """
    return _digits(root())


@cache
def _digits(_root: str) -> Digits:
    pack = PACKS["fsdd"]
    folder = pack.find("recordings", "free-spoken-digit-dataset/recordings")
    clips = sorted(_files(pack, folder) if folder else _rows(pack), key=lambda clip: clip[:3])
    speakers, labels, takes = (np.array(column) for column in list(zip(*clips, strict=True))[:3])
    wanted = sum(pack.rows.values())
    if len(clips) != wanted:
        raise pack.wrong("its recordings", f"are {len(clips):,}, not {wanted:,}")
    each = len(clips) // (10 * len(set(speakers)))
    whole = [(who, digit, take) for who in sorted(set(speakers)) for digit in range(10) for take in range(each)]
    if not set(speakers) <= set(SPEAKERS) or [clip[:3] for clip in clips] != whole:
        raise pack.wrong("its recordings", f"are not {each} takes of each digit 0 .. 9 by each of its speakers")
    waves = tuple(clip[3] for clip in clips)
    if "samples" in pack.sums:
        pack.compare("its samples", b"".join(wave.tobytes() for wave in waves), pack.sums["samples"])
    return Digits(waves, labels.astype(np.int64), speakers, takes.astype(np.int64))


def _files(pack: Pack, folder: Path) -> list[tuple[str, int, int, Array]]:
    """The repository's own layout, `recordings/DIGIT_SPEAKER_TAKE.wav`."""
    found = []
    for path in sorted(folder.glob("*.wav")):
        named = re.fullmatch(r"(\d)_([a-z]+)_(\d+)", path.stem)
        if named is None:
            raise pack.wrong(path, "is not named DIGIT_SPEAKER_TAKE.wav")
        found.append((named[2], int(named[1]), int(named[3]), samples(pack, path, path.read_bytes(), RATE)))
    return found


def _rows(pack: Pack) -> list[tuple[str, int, int, Array]]:
    """Tables with the columns audio, label, speaker and index, in two parts."""
    found = []
    for part in pack.rows:
        table = checked(pack, part, ("audio", "label", "speaker", "index"))
        waves = decoded(pack, part, table, RATE, np.arange(len(table)))
        plain = table.with_format(None)
        found += list(zip(plain["speaker"][:], plain["label"][:], plain["index"][:], waves, strict=True))
    return found


# ------------------------------------------------------------------------------------------------- commands


COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = (*COMMANDS, "_silence_", "_unknown_")
SECOND = 16_000


def commands(pack: Pack, part: str) -> tuple[Array, Array]:
    """A part of Speech Commands: samples [N, 16000] int16 and labels [N] int64, as in CLASSES.

    Other words than the ten are `_unknown_`; in train and validation of the whole set (which calls them by name) as
    many are drawn as there are of a command in the mean. Recordings of some seconds are cut into seconds.

    Raises:
        InputError: the data are not there, or not what they should be.
    """
    table = checked(pack, part, ("audio", "label"), "v0.02" if pack.hub else "")
    names = getattr(table.features["label"], "names", ())
    if not {*COMMANDS, "_silence_"} <= set(names):
        raise pack.wrong(
            f"the {part} part", f"its labels are {', '.join(names) or 'unnamed'}, not {', '.join(CLASSES)}"
        )
    of_name = np.array([CLASSES.index(name if name in CLASSES else "_unknown_") for name in names])
    labels = of_name[np.asarray(table.with_format(None)["label"][:])]
    chosen = np.arange(len(labels)) if part == "test" or "_unknown_" in names else _balanced(labels)
    waves, kept = [], []
    for wave, label in zip(decoded(pack, part, table, SECOND, chosen), labels[chosen], strict=True):
        seconds = [wave[i : i + SECOND] for i in range(0, max(1, len(wave) - SECOND + 1), SECOND)]
        waves += seconds
        kept += [label] * len(seconds)
    return windows(waves, SECOND), np.array(kept, np.int64)


def _balanced(labels: Array) -> Array:
    """All examples but those of unknown words, of which as many are left as there are of a command in the mean."""
    unknown = np.flatnonzero(labels == CLASSES.index("_unknown_"))
    usual = round(float((labels < len(COMMANDS)).sum()) / len(COMMANDS))
    drawn = unknown[Draw(len(labels)).permutation(len(unknown))[usual:]]
    return np.setdiff1d(np.arange(len(labels)), drawn)


# ---------------------------------------------------------------------------------------------- tables, sound


def checked(pack: Pack, part: str, columns: tuple[str, ...], config: str = "") -> Dataset:
    """The table of a part, whose columns and number of rows are what they should be."""
    table = pack.table(part, config)
    if absent := set(columns) - set(table.features):
        raise pack.wrong(f"the {part} part", f"has no column {', '.join(sorted(absent))}: {', '.join(table.features)}")
    if len(table) != pack.rows[part]:
        raise pack.wrong(f"the {part} part", f"{len(table):,} rows, not {pack.rows[part]:,}")
    return table


def decoded(pack: Pack, part: str, table: Dataset, rate: int, chosen: Array) -> Iterator[Array]:
    """The samples of each chosen row."""
    sounds = table.select(chosen).with_format(None)["audio"]
    for i, sound in zip(chosen.tolist(), sounds, strict=True):
        yield samples(pack, f"row {i} of {part}", sound["bytes"], rate)


def samples(pack: Pack, name: object, content: bytes, rate: int) -> Array:
    """The samples [S] int16 of a FLAC or WAV file of one channel and 16 bits.

    Raises:
        InputError: it is cut short, or of another kind.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            kind = file.samplerate, file.channels, file.subtype
            expected = file.frames
            wave: Array = file.read(dtype="int16")
    except (soundfile.LibsndfileError, TypeError):
        raise pack.wrong(name, "holds no whole recording") from None
    if kind != (rate, 1, "PCM_16"):
        said = f"{kind[0]} Hz, {kind[1]} channels, {kind[2]}"
        raise pack.wrong(name, f"is a recording of {said}, not of {rate} Hz, 1 channel, PCM_16")
    if not 0 < len(wave) == expected:
        raise pack.wrong(name, f"holds {len(wave)} of {expected} samples")
    return wave


def windows(waves: Sequence[Array], length: int) -> Array:
    """Clips of one length [N, S] int16: the middle of what is longer, and zeros around what is shorter."""
    held = np.zeros((len(waves), length), np.int16)
    for row, wave in zip(held, waves, strict=True):
        cut = wave[max(0, len(wave) - length) // 2 :][:length]
        start = (length - len(cut)) // 2
        row[start : start + len(cut)] = cut
    return held


def speaker(name: str) -> str:
    """One of FSDD's.

    Raises:
        InputError: nobody of that name spoke.
    """
    if name not in SPEAKERS:
        raise InputError(f"fsdd: no speaker {name!r}; there are: {', '.join(SPEAKERS)}")
    return name
