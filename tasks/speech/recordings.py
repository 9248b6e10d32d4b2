"""Recordings, in memory as 16-bit samples: read in their publishers' layouts, and checked.

N = clips, S = samples.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.contract import Array, InputError
from tasks.data import labels
from tasks.data.dataset import Pack, root
from tasks.data.embedded import Draw
from tasks.data.registry import PACKS

if TYPE_CHECKING:
    from datasets import Dataset

RATE = 8000
"""Samples per second of FSDD."""

DIGITS = tuple("0123456789")
NAMES = "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"
"""Names that a table's labels may have instead of DIGITS."""

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


class Digits(NamedTuple):
    """All clips of FSDD, in the order of speaker, digit and take."""

    waves: tuple[Array, ...]  # of each [S] int16
    digits: Array  # [N] int64
    speakers: Array  # [N] of SPEAKERS
    takes: Array  # [N] int64, from 0 in each speaker and digit


def digits() -> Digits:
    """FSDD at 8,000 samples per second.

    Raises:
        InputError: the data are missing or invalid.
    """
    return _digits(root())


@cache
def _digits(_root: str) -> Digits:
    pack = PACKS["fsdd"]
    folder = pack.find("recordings", "free-spoken-digit-dataset/recordings")
    if folder is not None and not folder.is_dir():
        raise pack.wrong(folder, "is no folder of recordings")
    clips = sorted(_files(pack, folder) if folder else _rows(pack), key=lambda clip: clip[:3])
    _complete(pack, folder or "its tables", [clip[:3] for clip in clips])
    speakers, digits, takes = (np.array(column) for column in list(zip(*clips, strict=True))[:3])
    waves = tuple(clip[3] for clip in clips)
    if "samples" in pack.sums:
        pack.compare("its samples", b"".join(wave.tobytes() for wave in waves), pack.sums["samples"])
    return Digits(waves, digits.astype(np.int64), speakers, takes.astype(np.int64))


def _complete(pack: Pack, where: object, clips: Sequence[tuple[str, int, int]]) -> None:
    """Refuse a wrong number of clips, or takes that differ between speakers and digits."""
    expected = sum(pack.rows.values())
    each = expected // (10 * len({speaker for speaker, *_ in clips} or SPEAKERS))
    spoken = {(speaker, digit, take) for speaker, *_ in clips for digit in range(10) for take in range(each)}
    absent, twice = sorted(spoken - {*clips}), sorted(clip for clip, n in Counter(clips).items() if n > 1)
    if len(clips) == expected and not absent:
        return
    reason = f"holds {len(clips):,} recordings, not {expected:,}: {each:,} takes of each digit 0 .. 9 by each speaker"
    for clip, wrong in [*((clip, "missing") for clip in absent), *((clip, "there twice") for clip in twice)][:1]:
        reason += "; take {2} of {1} by {0} is ".format(*clip) + wrong
    raise pack.wrong(where, reason)


def _files(pack: Pack, folder: Path) -> list[tuple[str, int, int, Array]]:
    """The repository's own layout, `recordings/DIGIT_SPEAKER_TAKE.wav`."""
    clips = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() == ".wav" and path.is_file()):
        name = re.fullmatch(rf"([0-9])_({'|'.join(SPEAKERS)})_(0|[1-9][0-9]*)", path.stem)
        if name is None:
            raise pack.wrong(path, f"is not named DIGIT_SPEAKER_TAKE.wav, of one of {', '.join(SPEAKERS)}")
        pack.verify(path)
        clips.append((name[2], int(name[1]), int(name[3]), samples(pack, path, path.read_bytes(), RATE)))
    return clips


def _rows(pack: Pack) -> list[tuple[str, int, int, Array]]:
    """Tables with the columns audio, label, speaker and index, in two parts."""
    clips: list[tuple[str, int, int, Array]] = []
    for part in pack.rows:
        table, where = checked(pack, part, ("audio", "label", "speaker", "index")), f"the {part} part"
        waves = decoded(pack, part, table, RATE, np.arange(len(table)))
        plain = table.with_format(None)
        names = getattr(table.features["label"], "names", NAMES)
        digits = labels.positions(pack, where, table, "label", NAMES if set(names) == set(NAMES) else DIGITS).tolist()
        takes = labels.numbers(pack, where, "index", plain["index"][:], sum(pack.rows.values())).tolist()
        speakers = plain["speaker"][:]
        if strangers := [name for name in speakers if name not in SPEAKERS]:
            raise pack.wrong(where, f"has the speaker {strangers[0]!r}; there are: {', '.join(SPEAKERS)}")
        clips += list(zip(speakers, digits, takes, waves, strict=True))
    return clips


# ------------------------------------------------------------------------------------------------- commands


COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = (*COMMANDS, "_silence_", "_unknown_")
SECOND = 16_000


def commands(pack: Pack, part: str) -> tuple[Array, Array]:
    """A part of Speech Commands: samples [N, 16000] int16 and labels [N] int64, as in CLASSES.

    Words other than the ten are `_unknown_`. In train and validation of the whole set (which gives their names) as many
    of them are drawn as a command has examples on average. Recordings of several seconds are cut into seconds.

    Raises:
        InputError: the data are missing or invalid.
    """
    table = checked(pack, part, ("audio", "label"), "v0.02" if pack.hub else "")
    where = f"the {part} part"
    names, values = labels.names_and_numbers(pack, where, table, "label")
    if names is None or not {*COMMANDS, "_silence_"} <= set(names):
        raise pack.wrong(where, f"its labels are {', '.join(names or ()) or 'unnamed'}, not {', '.join(CLASSES)}")
    of_name = np.array([CLASSES.index(name if name in CLASSES else "_unknown_") for name in names])
    classes = of_name[labels.numbers(pack, where, "label", values, len(names))]
    if absent := [name for label, name in enumerate(CLASSES) if label not in classes]:
        raise pack.wrong(where, f"has no recording of {', '.join(absent)}")
    selection = np.arange(len(classes)) if part == "test" or "_unknown_" in names else _balanced(classes)
    waves, targets = [], []
    for row, wave in zip(selection.tolist(), decoded(pack, part, table, SECOND, selection), strict=True):
        if len(wave) > SECOND and CLASSES[classes[row]] != "_silence_":
            raise pack.wrong(f"row {row} of {part}", f"is a word of {len(wave):,} samples, more than a second")
        seconds = [wave[i : i + SECOND] for i in range(0, max(1, len(wave) - SECOND + 1), SECOND)]
        waves += seconds
        targets += [classes[row]] * len(seconds)
    return windows(waves, SECOND), np.array(targets, np.int64)


def _balanced(classes: Array) -> Array:
    """Rows with fewer unknown words: as many as a command has examples on average."""
    unknown = np.flatnonzero(classes == CLASSES.index("_unknown_"))
    usual = round(float((classes < len(COMMANDS)).sum()) / len(COMMANDS))
    surplus = unknown[Draw(len(classes)).permutation(len(unknown))[usual:]]
    return np.setdiff1d(np.arange(len(classes)), surplus)


# ---------------------------------------------------------------------------------------------- tables, sound


def checked(pack: Pack, part: str, columns: tuple[str, ...], config: str = "") -> Dataset:
    """The table of a part, with its columns and number of rows checked."""
    table = pack.table(part, config)
    if absent := set(columns) - set(table.features):
        raise pack.wrong(f"the {part} part", f"has no column {', '.join(sorted(absent))}: {', '.join(table.features)}")
    if len(table) != pack.rows[part]:
        raise pack.wrong(f"the {part} part", f"{len(table):,} rows, not {pack.rows[part]:,}")
    return table


def decoded(pack: Pack, part: str, table: Dataset, rate: int, chosen: Array) -> Iterator[Array]:
    """Samples of each chosen row."""
    sounds = table.select(chosen).with_format(None)["audio"]
    for i, sound in zip(chosen.tolist(), sounds, strict=True):
        content = sound.get("bytes") if isinstance(sound, dict) else sound
        if not isinstance(content, bytes):
            raise pack.wrong(f"row {i} of {part}", "holds no bytes of a recording")
        yield samples(pack, f"row {i} of {part}", content, rate)


def samples(pack: Pack, name: object, content: bytes, rate: int) -> Array:
    """Samples [S] int16 of a FLAC or WAV file with one channel and 16 bits.

    Raises:
        InputError: the file is truncated or has another format.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            kind = file.samplerate, file.channels, file.subtype, file.format
            wave: Array = file.read(dtype="int16")
            expected = file.frames
    except soundfile.LibsndfileError:
        raise pack.wrong(name, "holds no whole recording") from None
    if kind[:3] != (rate, 1, "PCM_16") or kind[3] not in ("WAV", "FLAC"):
        actual = "{} Hz, {} channels, {} in {}".format(*kind)
        raise pack.wrong(name, f"is a recording of {actual}, not of {rate} Hz, 1 channel, PCM_16 in WAV or FLAC")
    # libsndfile reads a truncated WAV file without an error.
    if kind[3] == "WAV" and (cut := _announced(content) - len(content)) > 0:
        raise pack.wrong(name, f"is cut short by {cut:,} bytes of sound")
    if not 0 < len(wave) == expected:
        raise pack.wrong(name, f"holds {len(wave)} of {expected} samples")
    return wave


def _announced(content: bytes) -> int:
    """Length of a WAV file in bytes by its own header, or 0 if the writer did not know it."""
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"data":
            return 0 if size == 0xFFFFFFFF else at + 8 + size
        at += 8 + size + size % 2
    return at


def windows(waves: Sequence[Array], length: int) -> Array:
    """Clips of one length [N, S] int16: longer clips are cropped to the middle, shorter ones padded with zeros."""
    clips = np.zeros((len(waves), length), np.int16)
    for row, wave in zip(clips, waves, strict=True):
        cut = wave[max(0, len(wave) - length) // 2 :][:length]
        start = (length - len(cut)) // 2
        row[start : start + len(cut)] = cut
    return clips


def speaker(name: str) -> str:
    """The name of a speaker of FSDD, checked.

    Raises:
        InputError: there is no such speaker.
    """
    if name not in SPEAKERS:
        raise InputError(f"fsdd: no speaker {name!r}; there are: {', '.join(SPEAKERS)}")
    return name
