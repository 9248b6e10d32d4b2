"""Small data of a user's own: folders of classes, tables of texts and of numbers."""

import csv

import numpy as np
import soundfile
from PIL import Image

from tasks.data.dataset import ROOT
from tests.tasks import voices

NAMES = ("imagefolder", "audiofolder", "texts", "table")
CLASSES = {"ants": 40, "bees": 30, "wasps": 20}


def expect(monkeypatch, root):
    """Look for data under `root`."""
    monkeypatch.setenv(ROOT, str(root))


def plant(root, name):
    """Data of a kind under its default name."""
    if name == "imagefolder":
        plant_images(root / name)
    elif name == "audiofolder":
        plant_sounds(root / name)
    elif name == "texts":
        write(root / "texts.csv", sentences())
    else:
        write(root / "table.csv", numbers())


def plant_images(folder, classes=CLASSES, key=0):
    """Images whose brightness tells the class."""
    for k, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = np.random.default_rng([key, k, i]).integers(0, 70, (18 + i % 5, 22, 3)) + 60 * k
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i:02}.png")


def plant_sounds(folder, classes=CLASSES, rate=8000):
    """Tones whose pitch tells the class."""
    for k, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            soundfile.write(folder / name / f"{i:02}.wav", voices.tone(3 * k, [k, i], rate, 1000 + 10 * i), rate)


def write(file, rows):
    """A CSV of rows, which are dictionaries."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def sentences(n=200, key=0):
    """Different texts of few words, whose adjective tells the label; three in ten are `bad`."""
    words = {"good": ("fine", "nice", "lovely"), "bad": ("poor", "dull", "sad")}
    nouns = ("film", "meal", "talk", "hotel", "game", "book", "play", "trip", "song", "walk")
    rows = []
    for i in range(n):
        label = "bad" if i % 10 < 3 else "good"
        day, hour = "abcdefg"[i % 7] * 3, ["one", "two", "three", "four", "five", "six"][(i // 7 + key) % 6]
        text = f"The {nouns[i // 10 % 10]} was {words[label][i % 3]} on {day} at {hour}."
        rows.append({"id": i, "text": text, "label": label})
    return rows


def numbers(n=300, key=0):
    """Two numbers and a colour, a class of three, and a number that follows from them."""
    draw = np.random.default_rng(key)
    rows = []
    for _ in range(n):
        a, b = draw.standard_normal(2).round(4).tolist()
        colour = ("red", "green", "blue")[int(draw.integers(3))]
        rows.append({"a": a, "b": b, "colour": colour, "target": int(a > 0) + int(a > 1)})
        rows[-1]["y"] = round(a - 2 * b + (colour == "red") + 0.1 * float(draw.standard_normal()), 4)
    return rows
