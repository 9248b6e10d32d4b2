"""Recordings, whole in memory as 16-bit samples: read in their publishers' layouts, and checked.

N = clips, S = samples.
"""

from __future__ import annotations

import io
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from bench.contract import Array, InputError
from tasks.pack import Pack, root
from tasks.packs import PACKS

if TYPE_CHECKING:
    from datasets import Dataset

Columns: TypeAlias = "dict[str, list[Any]]"

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
        found.append((named[2], int(named[1]), int(named[3]), samples(pack, path, path.read_bytes(), 8000)))
    return found


def _rows(pack: Pack) -> list[tuple[str, int, int, Array]]:
    """Tables with the columns audio, label, speaker and index, in two parts."""
    found = []
    for part, rows in pack.rows.items():
        table = listed(pack, part, rows, ("audio", "label", "speaker", "index"))
        waves = decoded(pack, part, table, 8000)
        found += list(zip(table["speaker"], table["label"], table["index"], waves, strict=True))
    return found


# ------------------------------------------------------------------------------------------------- keywords


KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = 10, 11
CLASSES = (*KEYWORDS, "_silence_", "_unknown_")


def keywords(part: str) -> tuple[Array, Array]:
    """A part of the pack of 12 classes: samples [N, 16000] int16 and labels [N] int64, as in CLASSES."""
    pack = PACKS["speech_commands_v002_testset12"]
    table = listed(pack, part, pack.rows[part], ("audio", "label"), CLASSES)
    waves = decoded(pack, part, table, 16_000)
    return windows(waves, 16_000), np.asarray(table["label"], np.int64)


# ---------------------------------------------------------------------------------------------- tables, sound


def listed(
    pack: Pack, part: str, rows: int, columns: tuple[str, ...], names: tuple[str, ...] = (), config: str = ""
) -> Columns:
    """Columns of a part, whose number of rows and names of labels are held against what is known of it."""
    table: Dataset = pack.table(part, config)
    if not set(columns) <= set(table.features):
        has = ", ".join(table.features)
        raise pack.wrong(f"the {part} part", f"has no column {' or '.join(set(columns) - set(table.features))}: {has}")
    if len(table) != rows:
        raise pack.wrong(f"the {part} part", f"{len(table):,} rows, not {rows:,}")
    found = getattr(table.features["label"], "names", None)
    if names and tuple(found or ()) != names:
        raise pack.wrong(
            f"the {part} part", f"its labels are {', '.join(found or ['unnamed'])}, not {', '.join(names)}"
        )
    return {name: list(table.with_format(None)[name]) for name in columns}


def decoded(pack: Pack, part: str, table: Columns, rate: int) -> list[Array]:
    """The samples of each row."""
    return [samples(pack, f"row {i} of {part}", sound["bytes"], rate) for i, sound in enumerate(table["audio"])]


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


def windows(waves: list[Array] | tuple[Array, ...], length: int) -> Array:
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
