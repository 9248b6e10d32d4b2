"""Good trees of every layout that Glideslope reads, as small as possible, and the readers of their values.

A tree is what lies in a folder: the content of each file by its path. Values are a bag of examples, each with the part
and the names that it goes by, so that two trees with equal bags are the same data.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest

from bench.analysis.published import llama_csv
from bench.runner.config import RunConfig, prepare
from tasks.data.registry import PACKS
from tasks.detection import annotations
from tasks.detection.coco import coco
from tasks.image import images
from tasks.image.imagenet import load as load_folders
from tasks.speech import recordings
from tasks.text import sentences
from tasks.text.glue import KINDS
from tests.analysis.test_published import SMALL as LOG
from tests.tasks import trees, voices

IMAGES = {"train": 30, "test": 20}
CLIPS = {
    "fsdd": {"train": 10, "test": 50},
    "speech_commands_v002_testset12": dict.fromkeys(("train", "validation", "test"), 12),
}
SHORT = LOG.replace("50000", "500").replace("25000", "250").replace(",300,", ",3,")
CELLS = (("train", 4), ("val", 2), ("test", 2))
SENTENCES = {"train": 300, "validation": 100, "validation_matched": 100, "validation_mismatched": 100}
SUITE = """from bench.plan import Grid, Suite


def suite():
    grid = Grid(task='linreg', schedules=('constant', 'rex'), budgets=(0.1, 0.5), peak_lrs=(0.1, 0.3), seeds=2)
    return Suite('mine', (grid,))
"""


@dataclass(frozen=True)
class Layout:
    """A kind of tree."""

    name: str
    plant: Callable[[Path], object]  # puts the good tree into a folder
    read: Callable[[Path], Counter]  # the values of the tree in a folder
    user: bool = False  # fewer or more examples are another data set of a user's, not a damaged one
    digest: bool = False  # what its files hold is known by their digests

    @property
    def tree(self):
        return _tree(self)


@cache
def _tree(layout):
    with TemporaryDirectory() as folder, mock.patch.dict(trees.ROWS, IMAGES), mock.patch.dict(voices.ROWS, CLIPS):
        with mock.patch.object(voices, "spoken", partial(voices.spoken, takes=6, speakers=("george",))):
            layout.plant(Path(folder))
        return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(Path(folder).rglob("*")) if f.is_file()}


def expect(patch):
    """Have all sets expected in these sizes; a set whose digests are known says so in `digests`."""
    patch.setattr(images, "CONTROL", 10)
    for name in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        patch.setitem(PACKS, name, replace(PACKS[name], rows=IMAGES, sums={}))
    patch.setitem(PACKS, "mnist", replace(PACKS["mnist"], rows=IMAGES, sums=_digests(IDX)))
    patch.setitem(
        PACKS, "glue", replace(PACKS["glue"], rows={f"{t}/{p}": n for t in KINDS for p, n in SENTENCES.items()})
    )
    patch.setitem(PACKS, "bccd", replace(PACKS["bccd"], rows=dict(CELLS)))
    for name, rows in (voices.ROWS | CLIPS).items():
        patch.setitem(PACKS, name, replace(PACKS[name], rows=rows, sums={}))
    BATCHES.plant_for_good(patch)


def _digests(layout):
    return {Path(path).name: hashlib.md5(content).hexdigest() for path, content in layout.tree.items()}


# ------------------------------------------------------------------------------------------------------ reading


def _bag(**parts):
    """Examples of splits. Those held out of the train part count as train: the choice depends on the order of rows."""
    return Counter(
        (part, *(array[i].tobytes() for array in (*split.inputs, *split.target)))
        for part, splits in parts.items()
        for split in splits
        for i in range(len(split))
    )


def read_pixels(name, root):
    data = images.load(name, 100 if name == "cifar100" else 10)
    return _bag(train=(data.train, data.control), test=(data.test,))


def read_folders(root):
    data, bag = load_folders(2), Counter()
    for part, split in (("train", data.train), ("train", data.control), ("val", data.test)):
        for i in range(len(split)):
            (image,), (label,) = split.read(i, None)
            bag[part, hashlib.sha256(image.tobytes()).digest(), int(label)] += 1
    return bag


def read_boxes(name, root):
    pack = PACKS["bccd"] if name == "bccd" else coco(name).load.args[0]
    folder, bag = annotations.load(pack, upright=True), Counter()
    parts = ("train", "val", "test") if name == "bccd" else ("train", "train", "val")
    for part, split in zip(parts, folder.data, strict=True):
        for image, rows in zip(split.inputs[0], split.target[0], strict=True):
            key = part, hashlib.sha256(image.tobytes()).digest()
            bag[key] += 1
            for *corners, label, crowd in rows[rows[:, 4] >= 0].tolist():
                bag[*key, *corners, folder.names[int(label)], crowd] += 1
    return bag


def read_digits(root):
    return Counter(
        (speaker, int(digit), int(take), wave.tobytes())
        for wave, digit, speaker, take in zip(*recordings.digits(), strict=True)
    )


def read_commands(name, root):
    bag = Counter()
    for part in ("train", "validation", "test"):
        for wave, label in zip(*recordings.commands(PACKS[name], part), strict=True):
            if part == "test" or recordings.CLASSES[label] != "_unknown_":  # of others a share is drawn
                bag[part, recordings.CLASSES[label], wave.tobytes()] += 1
    return bag


def read_sentences(task, root):
    form, bag = KINDS[task].form, Counter()
    for part in ("train", *form.test):
        rows, labels = sentences._part(task, form, part)
        bag.update((part, row, float(label)) for row, label in zip(rows, labels, strict=True))
    return bag


def read_log(root):
    rows = llama_csv.import_log(root / "log.csv", root / "out")
    fields = ("task", "schedule", "peak_lr", "total", "seed", "status", "final")
    return Counter(str([row.payload.get(name) for name in fields]) for row in rows if row.kind != "plan")


def read_suite(root):
    return Counter(cell.id for cell in prepare(RunConfig(suite=str(root / "mine.py"))).plan.cells)


# ---------------------------------------------------------------------------------------------------- catalogue


class _Batches(Layout):
    """CIFAR's pickled batches, whose digests torchvision knows."""

    def plant_for_good(self, patch):
        with TemporaryDirectory() as folder, mock.patch.dict(trees.ROWS, IMAGES):
            trees.plant_batches(Path(folder), patch)


def plant_batches(root):
    with pytest.MonkeyPatch.context() as patch:
        trees.plant_batches(root, patch)


def plant_cells(root):
    (root / "flat").mkdir()
    trees.plant_boxes(root / "flat", (("train", 10), ("val", 2)))
    trees.as_coco(root / "flat", root / "cells")
    for file in sorted((root / "flat").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    (root / "flat").rmdir()


FASHION = "fashion_mnist/FashionMNIST"
IDX = Layout("idx", lambda root: trees.plant_idx(root, packed=False), partial(read_pixels, "mnist"), digest=True)
BATCHES = _Batches("batches", plant_batches, partial(read_pixels, "cifar10"), digest=True)
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("folders", partial(trees.plant_folders, each=(14, 2)), read_folders, user=True),
        Layout(
            "table", partial(trees.plant_table, folder="cifar10", shape=(32, 32, 3)), partial(read_pixels, "cifar10")
        ),
        Layout(
            "shards",
            partial(trees.plant_table, folder="cifar10", shape=(32, 32, 3), shards=3),
            partial(read_pixels, "cifar10"),
        ),
        IDX,
        Layout(
            "idx.gz",
            lambda root: trees.plant_idx(root, "fashion_mnist/FashionMNIST"),
            partial(read_pixels, "fashion_mnist"),
        ),
        BATCHES,
        Layout("bccd", lambda root: trees.plant_boxes(root / "bccd", CELLS), partial(read_boxes, "bccd")),
        Layout("coco", plant_cells, partial(read_boxes, "cells"), user=True),
        Layout("wavs", voices.plant_wavs, read_digits),
        Layout("digits", voices.plant_digits, read_digits),
        Layout("commands", voices.plant_commands, partial(read_commands, "speech_commands_v002_testset12")),
        Layout("hub", voices.plant_hub, partial(read_commands, "speech_commands")),
        Layout("glue sst2", trees.plant_glue, partial(read_sentences, "sst2")),
        Layout("glue stsb", partial(trees.plant_glue, task="stsb"), partial(read_sentences, "stsb")),
        Layout("glue mnli", partial(trees.plant_glue, task="mnli", shards=2), partial(read_sentences, "mnli")),
        Layout("log", lambda root: (root / "log.csv").write_text(SHORT), read_log, user=True),
        Layout("suite", lambda root: (root / "mine.py").write_text(SUITE), read_suite),
    )
}
