"""ImageNet. It is too large for memory, so worker processes read, crop and mirror its images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.contract import Array, Data, InputError, Margin, Stream, Task, digest
from schedules.spec import render
from tasks import classification
from tasks.data import class_folders, inventory, picture
from tasks.data.dataset import root
from tasks.data.embedded import stratified
from tasks.data.registry import PACKS
from tasks.image import timm_models
from tasks.image.augment import from_bytes

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL.Image import Image

PACK = PACKS["imagenet"]
SIDE, SHORTER = 224, 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
USUAL = "timm:resnet50"


def imagenet(model: str = USUAL, *, classes: int = 1000) -> Task:
    """ImageNet with a model of timm: batches of 256, SGD at 0.1, momentum 0.9, weight decay 1e-4, 90 epochs.

    Goyal et al. (arXiv:1706.02677, section 5.1). Training images are cropped to 8 to 100 % of their area and mirrored
    at random (torchvision's RandomResizedCrop); others are scaled to a shorter side of 256, of which the middle
    224x224 is taken. 1 in 26 training images is held out as control (49,275 of 1,281,167); test is the official
    validation part, for the labels of the official test part are not public.

    Args:
        model: `timm:` and a name of `timm.list_models()`.
        classes: Of the folder, for a part of ImageNet in its layout.

    Raises:
        InputError: no such model, or no such number of classes.
    """
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise InputError(f"imagenet: classes is a whole number, 2 or more, not {classes!r}")
    if not model.startswith(timm_models.PREFIX):
        raise InputError(f"unknown model of imagenet {model!r}; give timm:NAME, such as {USUAL}")
    if model != USUAL:  # the look-up imports torch, which a listing should not do
        timm_models.builder(model, classes, SIDE)
    settings: dict[str, Any] = {} if model == USUAL else {"model": model}
    settings |= {} if classes == 1000 else {"classes": classes}
    return classification.task(
        name=render("imagenet", (), settings),
        family="image",
        source=f"{PACK.source}; 1 in 26 training images is held out as control, test is `val`",
        batch_size=256,
        epochs=90,
        weight_decay=1e-4,
        peak_lrs=(0.03, 0.1, 0.3),
        layers="residual",
        load=partial(load, classes),
        model=partial(_model, model, classes),
        prepare=from_bytes(MEAN, STD),
        chance=f"chance and the majority class: {1 / classes:.2g}",
        margin=Margin(0.001, "a tenth of a point, the digit that tables of ImageNet print"),
    )


def _model(name: str, classes: int) -> Any:
    return timm_models.builder(name, classes, SIDE)()


def load(classes: int) -> Data:
    """Streams of images [3, 224, 224] uint8 and labels int64.

    Raises:
        InputError: the data are missing or invalid.
    """
    return _loaded(classes, root())


@cache
def _loaded(classes: int, _root: str) -> Data:
    tables: dict[inventory.Identity, str] = {}
    tree = None if PACK.on_hub else PACK.find("train")
    if tree and tree.is_dir() and any(path.suffix.lower() != ".parquet" for path in inventory.visible(tree)):
        owners: dict[inventory.Identity, str] = {}
        parts = {name: _folder(tree.parent / name, owners) for name in ("train", "val")}
    else:
        parts = {"train": _table("train"), "val": _table("validation")}
        for name in () if PACK.on_hub else ("train", "validation"):
            for file in PACK.parquet(name):
                inventory.claim(file, f"the {name} part", tables, PACK.wrong)
    inventory.agree("classes", {name: part.names for name, part in parts.items()}, PACK.wrong)
    for name, part in parts.items():
        if set(np.unique(part.labels)) != set(range(classes)):
            raise PACK.wrong(f"the {name} part", f"has {len(np.unique(part.labels)):,} classes, not {classes:,}")
    (images, labels, stamp, _), (val, val_labels, val_stamp, _) = parts.values()
    control = len(labels) // 26
    train_of, control_of = stratified(labels, (len(labels) - control, control), seed=1000)
    return Data(
        Stream(ImageReader(images, train_of, labels), (labels[train_of],), stamp),
        Stream(ImageReader(images, control_of, labels), (labels[control_of],), stamp),
        Stream(ImageReader(val, np.arange(len(val_labels)), val_labels), (val_labels,), val_stamp),
    )


@dataclass(frozen=True)
class Files:
    """Images in files, by index."""

    paths: Sequence[str]

    def __getitem__(self, i: int) -> tuple[str, Any]:
        return self.paths[i], self.paths[i]


@dataclass(frozen=True)
class Rows:
    """Images in a column of a table, by index."""

    table: Dataset
    column: str

    def __getitem__(self, i: int) -> tuple[str, Any]:
        return f"row {i}", io.BytesIO((self.table[i][self.column] or {}).get("bytes") or b"")


class ImageFolderPart(NamedTuple):
    """An official part of ImageNet."""

    images: Files | Rows
    labels: Array
    stamp: str
    names: Sequence[str] | None  # of the classes, if known


@dataclass(frozen=True)
class ImageReader:
    """Reader of a stream: some of the images, as bytes [3, 224, 224], and their labels."""

    images: Files | Rows
    index: Array
    labels: Array

    def __call__(self, i: int, key: int | None) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        at = int(self.index[i])
        name, source = self.images[at]
        if isinstance(self.images, Files):
            PACK.verify(Path(name))
        cut = _cut(picture.opened(source, partial(PACK.wrong, name)), key)
        return (np.asarray(cut).transpose(2, 0, 1),), (self.labels[at],)


def _cut(image: Image, key: int | None) -> Any:
    """The centre crop of an image; with a key, a random crop, mirrored or not."""
    import torch
    from torchvision.transforms import v2

    if key is None:
        return v2.Compose([v2.Resize(SHORTER, antialias=True), v2.CenterCrop(SIDE)])(image)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key)
        return v2.Compose([v2.RandomResizedCrop(SIDE, antialias=True), v2.RandomHorizontalFlip()])(image)


def _folder(tree: Path, owners: dict[inventory.Identity, str] | None = None) -> ImageFolderPart:
    """A part with a folder for each class, in the order of their names, and images at any depth.

    Its stamp covers the names and sizes of all files. `owners` are those of the parts before.
    """
    if not tree.is_dir():
        raise PACK.absent()
    files, sizes, labels, names = class_folders.read(
        tree, inventory.IMAGES, PACK.wrong, {} if owners is None else owners
    )
    lines = (f"{file.relative_to(tree)} {size}" for file, size in zip(files, sizes, strict=True))
    return ImageFolderPart(Files([str(file) for file in files]), labels, digest("\n".join(lines), 64), names)


def _table(part: str) -> ImageFolderPart:
    """A part in the hub's layout. Its stamp covers the names and sizes of its files, or its size on the hub."""
    table = PACK.table(part)
    if not {"image", "label"} <= set(table.features):
        raise PACK.wrong(f"the {part} part", f"has the columns {', '.join(table.features)}, not image and label")
    if PACK.on_hub:
        lines = [f"{PACK.hub} {part} {table.info.dataset_size}"]
    else:
        lines = [f"{file.name} {file.stat().st_size}" for file in PACK.parquet(part)]
    blame = partial(PACK.wrong, f"the {part} part's column label")
    labels = inventory.whole(table.with_format(None)["label"][:], blame)
    names = getattr(table.features["label"], "names", None)
    return ImageFolderPart(Rows(table, "image"), labels, digest("\n".join(lines), 64), names)
