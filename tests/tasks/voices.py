"""Tiny sets of recordings in the true layouts of their publishers: tones whose pitch tells the label."""

import io
from dataclasses import replace

import datasets
import numpy as np
import pyarrow.parquet
import soundfile

from tasks.data.dataset import ROOT
from tasks.data.registry import PACKS
from tasks.speech import recordings

ROWS = {
    "fsdd": {"train": 300, "test": 100},  # two speakers, 20 takes
    "speech_commands": {"train": 50, "validation": 26, "test": 26},
    "speech_commands_v002_testset12": {"train": 120, "validation": 60, "test": 60},
}

NAMES = (*ROWS, "digits_ctc")


def expect(monkeypatch, root, **changes):
    """Look for these sets under `root`, in their tiny sizes and without their true digests."""
    monkeypatch.setenv(ROOT, str(root))
    for name, rows in ROWS.items():
        monkeypatch.setitem(PACKS, name, replace(PACKS[name], rows=rows, **({"sums": {}} | changes)))


def tone(pitch, key, rate=8000, length=2000):
    """A noisy tone, [length] int16."""
    draw = np.random.default_rng(key)
    wave = np.sin(2 * np.pi * (200 + 150 * pitch) * np.arange(length) / rate + draw.uniform(0, 6))
    return (8000 * wave + 500 * draw.standard_normal(length)).astype(np.int16)


def encoded(wave, rate=8000, kind="FLAC"):
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=kind, subtype="PCM_16")
    return file.getvalue()


def spoken(takes=20, speakers=("george", "jackson")):
    """(speaker, digit, take, wave) of a small FSDD."""
    for s, speaker in enumerate(speakers):
        for digit in range(10):
            for take in range(takes):
                yield speaker, digit, take, tone(digit, [s, digit, take], length=1000 + 50 * take)


def plant_wavs(root, folder="fsdd/recordings"):
    (root / folder).mkdir(parents=True)
    for speaker, digit, take, wave in spoken():
        (root / folder / f"{digit}_{speaker}_{take}.wav").write_bytes(encoded(wave, kind="WAV"))


def write(root, folder, part, columns, names, rate):
    features = {"audio": datasets.Audio(sampling_rate=rate, decode=False), "label": datasets.ClassLabel(names=names)}
    features |= {"speaker": datasets.Value("string"), "index": datasets.Value("int32")}
    (root / folder).mkdir(parents=True, exist_ok=True)
    schema = datasets.Features({name: features[name] for name in columns}).arrow_schema
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), root / folder / f"{part}.parquet")


def plant_digits(root, rate=8000, spoil=lambda content: content):
    """The pack's tables; `spoil` makes of the first FLAC file of the test part what it likes."""
    for part in ("train", "test"):
        clips = [clip for clip in spoken() if (clip[2] < 5) == (part == "test")]
        sounds = [{"bytes": encoded(wave, rate), "path": None} for *_, wave in clips]
        if part == "test":
            sounds[0]["bytes"] = spoil(sounds[0]["bytes"])
        speakers, labels, takes, _ = zip(*clips, strict=True)
        columns = {"audio": sounds, "label": labels, "speaker": speakers, "index": takes}
        write(root, "fsdd", part, columns, [str(i) for i in range(10)], rate)


def plant_commands(root, names=recordings.CLASSES):
    for part, n in ROWS["speech_commands_v002_testset12"].items():
        labels = [i % 12 for i in range(n)]
        sounds = [encoded(tone(label, [len(part), i], 16_000, 16_000), 16_000) for i, label in enumerate(labels)]
        columns = {"audio": [{"bytes": sound, "path": None} for sound in sounds], "label": labels}
        write(root, "speech_commands_v002_testset12", part, columns, list(names), 16_000)


def plant_hub(root):
    """Speech Commands as the hub has it: 12 words, in train and validation two long recordings of silence."""
    names = [*recordings.COMMANDS, "zero", "tree", "_silence_"]
    for part, each in (("train", 4), ("validation", 2), ("test", 2)):
        labels = [*range(12)] * each + [12, 12]
        waves = [tone(label, [len(part), i], 16_000, 15_000) for i, label in enumerate(labels)]
        if part != "test":
            waves[-2:] = (tone(0, [len(part), 98, i], 16_000, 16_000 * i + 500) for i in (3, 2))
        sounds = [{"bytes": encoded(wave, 16_000), "path": None} for wave in waves]
        columns = {"audio": sounds, "label": labels}
        write(root, f"speech_commands/v0.02/{part}", "0000", columns, names, 16_000)


def plant(root, name):
    """A set in its layout of tables."""
    kinds = {"speech_commands": plant_hub, "speech_commands_v002_testset12": plant_commands}
    kinds.get(name, plant_digits)(root)
