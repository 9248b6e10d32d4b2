"""Images with boxes in a folder of COCO's format: read, checked, scaled to one size, and split.

Two layouts are read: COCO's own, `annotations/instances_PART.json` next to a folder of images for each part, and
`instances_PART.json` next to one folder `images`. N = images of a split, R = rows (boxes and padding), S = `SIDE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.contract import Array, Data, Split, Stream, digest
from tasks.data import inventory, picture
from tasks.data.dataset import Pack, root
from tasks.data.embedded import Draw
from tasks.detection import boxes
from tasks.detection.augment import jittered
from tasks.own import splits as own_splits

SIDE = 320
"""Side in pixels of every image. Images are stretched to squares, which changes no overlap of boxes, so no mAP."""

MAX_IN_MEMORY = 5_000
"""Images of a split that fit in memory (1.5 GB); larger splits are streamed."""

CONTROL = 5_000
"""Images held out of the train part if there is no third part: a tenth of it, but at most this number."""

PARTS = {"train": ("train2017", "train"), "val": ("val2017", "val"), "test": ("test",)}


@dataclass(frozen=True)
class AnnotatedPart:
    """An official part: its images, and their boxes [N, R, 6] in pixels of the square, as in `augment`."""

    paths: Sequence[Path]
    sizes: Sequence[tuple[int, int]]  # width and height that each image should have
    truth: Array
    names: tuple[str, ...]  # of the classes, by their ids
    ids: tuple[int, ...]

    def picked(self, index: Array) -> AnnotatedPart:
        """A part with these of the images."""
        paths, sizes = ([values[i] for i in index] for values in (self.paths, self.sizes))
        return AnnotatedPart(paths, sizes, self.truth[index], self.names, self.ids)


class Folder(NamedTuple):
    """Data of a folder and the names of its classes."""

    data: Data
    names: tuple[str, ...]


def load(pack: Pack, upright: bool) -> Folder:
    """Images [N, 3, S, S] uint8 and boxes [N, R, 6] float32; `val` is control if there is a `test` part, else test.

    Boxes without an area (COCO has some) are dropped. Crowds are kept for evaluation and dropped from the train part.

    Raises:
        InputError: the data are missing or invalid.
    """
    return _loaded(pack, upright, root())


@cache
def _loaded(pack: Pack, upright: bool, _root: str) -> Folder:
    if whole := _whole(pack):
        parts = _by_content(pack, whole)
    else:
        parts = {name: _part(pack, name) for name in PARTS if name != "test" or _annotations(pack, name)}
    train, val = parts["train"], parts["val"]
    for name, part in parts.items():
        of_part = [f"{number} {label}" for number, label in zip(part.ids, part.names, strict=True)]
        of_train = [f"{number} {label}" for number, label in zip(train.ids, train.names, strict=True)]
        inventory.agree("classes", {"train": of_train, name: of_part}, pack.wrong)
    _require_disjoint(pack, parts)
    if "test" in parts:
        splits = {"train": train, "val": val, "test": parts["test"]}
    else:
        order = Draw(len(train.paths)).permutation(len(train.paths))
        control = min(CONTROL, len(order) // 10)
        part_of = train.picked(np.sort(order[control:])), train.picked(np.sort(order[:control]))
        splits = {"train": part_of[0], "tenth of train that is held out": part_of[1], "val": val}
    for name, part in splits.items():
        if not len(part.paths):
            few = f" of {len(train.paths)} images" if name not in parts else ""
            raise pack.wrong(f"the {name} part", f"has no images{few}; each part needs some")
        if not (part.truth[..., 4] >= 0).any():
            raise pack.wrong(f"the {name} part", "has no boxes; each part needs some")
    readable = [_split(pack, AnnotatedImageReader(pack, part, upright)) for part in splits.values()]
    return Folder(Data(*readable), train.names)


def _whole(pack: Pack) -> Path | None:
    """The one file of annotations of a user's folder, whatever its name; None if there are several, or none."""
    folders = [folder for folder in (pack.folder, pack.folder / "annotations") if folder.is_dir()]
    files = [path for folder in folders for path in inventory.visible(folder) if path.suffix.lower() == ".json"]
    return files[0] if len(files) == 1 and not pack.published else None


def _by_content(pack: Pack, file: Path) -> dict[str, AnnotatedPart]:
    """The parts of a folder without parts, by the content of each image; crowds are no part of train."""
    whole = _read(pack, file, "")
    marks = [own_splits.mark([path.read_bytes()]) for path in whole.paths]
    train, control, test = own_splits.assign(["train"] * len(marks), marks, pack.wrong)
    parts = {"train": whole.picked(train), "val": whole.picked(control), "test": whole.picked(test)}
    crowds = parts["train"].truth[..., 5] == 1
    parts["train"].truth[crowds] = -1
    return parts


def _require_disjoint(pack: Pack, parts: dict[str, AnnotatedPart]) -> None:
    """Refuse an image that is in two parts, by the same name or another."""
    part_of: dict[inventory.Identity, str] = {}
    for name, part in parts.items():
        for path in part.paths:
            facts = path.stat()
            other = part_of.setdefault((facts.st_dev, facts.st_ino), name)
            if other != name:
                raise pack.wrong(path, f"is in the parts {other} and {name}: it would be learnt and tested")


def _split(pack: Pack, reading: AnnotatedImageReader) -> Split | Stream:
    count, truth = len(reading.part.paths), reading.part.truth
    if count > MAX_IN_MEMORY:
        lines = (f"{path.name} {path.stat().st_size}" for path in reading.part.paths)
        return Stream(reading, (truth,), digest("\n".join(lines), 64))
    images = [reading(i, None)[0][0] for i in range(count)]
    return Split((np.stack(images) if images else np.empty((0, 3, SIDE, SIDE), np.uint8),), (truth,))


@dataclass(frozen=True)
class AnnotatedImageReader:
    """Reader of an image [3, S, S] uint8 and its boxes [R, 6], jittered if there is a key."""

    pack: Pack
    part: AnnotatedPart
    upright: bool  # images are not mirrored upside down

    def __call__(self, i: int, key: int | None) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        image, truth = self._image(i), self.part.truth[i]
        if key is None:
            return (image,), (truth,)
        import torch

        generator = torch.Generator().manual_seed(key)
        batch = torch.from_numpy(image)[None], torch.from_numpy(truth)[None]
        images_BCSS, truth_BR6 = jittered(*batch, generator, self.upright)
        return (images_BCSS[0].numpy(),), (truth_BR6[0].numpy(),)

    def _image(self, i: int) -> Array:
        from PIL import Image

        path, size = self.part.paths[i], self.part.sizes[i]
        self.pack.verify(path)
        image = picture.opened(path, partial(self.pack.wrong, path))
        if image.size != size:
            reason = "is an image of {}x{}, annotated as one of {}x{}".format(*image.size, *size)
            turned = ", which it is before its orientation tag is applied" if image.size == size[::-1] else ""
            raise self.pack.wrong(path, reason + turned)
        square = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


# ------------------------------------------------------------------------------------------------ annotations


def _annotations(pack: Pack, part: str) -> Path | None:
    """The file of a part, or None; there is one at most."""
    names = PARTS[part]
    files = [f"{folder}instances_{name}.json" for name in names for folder in ("annotations/", "")]
    return inventory.only(pack.places(*files), pack.wrong)


def _strangers(pack: Pack) -> None:
    """Refuse files of annotations with unknown names: to ignore one would be to lose a part of the data."""
    names_read = {f"instances_{name}.json" for names in PARTS.values() for name in names}
    for folder in (pack.folder, pack.folder / "annotations"):
        for path in inventory.visible(folder) if folder.is_dir() else ():
            if path.name.lower().startswith("instances_") and path.name not in names_read and not pack.published:
                raise pack.wrong(path, f"is no part that is read here: {', '.join(sorted(names_read))}")


def _part(pack: Pack, part: str) -> AnnotatedPart:
    """A part, read from its file of annotations.

    Raises:
        InputError: the file is missing, or contradicts itself or the images.
    """
    _strangers(pack)
    file = _annotations(pack, part)
    if file is None:
        raise pack.absent()
    return _read(pack, file, part)


def _read(pack: Pack, file: Path, part: str) -> AnnotatedPart:
    """The images and boxes of a file of annotations; of a part `train`, without those of crowds."""
    pack.verify(file)
    listed = boxes.read(file, partial(pack.wrong, file))
    if len(listed.images) != pack.rows.get(part, len(listed.images)):
        raise pack.wrong(file, f"lists {len(listed.images):,} images, not {pack.rows[part]:,}")
    places = [_image_file(pack, file, image["file_name"]) for image in listed.images.values()]
    owners: dict[inventory.Identity, str] = {}
    for key, place in zip(listed.images, places, strict=True):
        inventory.claim(place, f"image {key}", owners, pack.wrong)
    sizes = [(image["width"], image["height"]) for image in listed.images.values()]
    ids = tuple(listed.categories)
    rows = [
        [_scaled(box, size, ids.index(box[4])) for box in listed.boxes[key] if not (box[5] and part == "train")]
        for key, size in zip(listed.images, sizes, strict=True)
    ]
    return AnnotatedPart(places, sizes, _padded(rows), tuple(listed.categories.values()), ids)


def _scaled(box: boxes.Box, size: tuple[int, int], label: int) -> tuple[float, ...]:
    """A box in pixels of the square, with the index of its class."""
    return *(SIDE * at / side for at, side in zip(box[:4], size * 2, strict=True)), float(label), float(box[5])


def _image_file(pack: Pack, annotations: Path, name: str) -> Path:
    """Path of an image: in the folder of its part, or in `images`."""
    base = annotations.parent.parent if annotations.parent.name == "annotations" else annotations.parent
    part = annotations.stem.removeprefix("instances_")
    inner = inventory.inside(pack.folder, name, partial(pack.wrong, annotations))
    places = [base / folder / inner for folder in (part, f"images/{part}", "images")]
    if not pack.published and not any(place.exists() for place in places):
        places.append(base / inner)
    place = inventory.only(places, pack.wrong)
    if place is None or not place.is_file():
        raise pack.wrong(annotations, f"names {name}, which is not in {part}/, images/{part}/ or images/")
    if not place.stat().st_size:
        raise pack.wrong(place, "is empty")
    return place


def _padded(rows: Sequence[Sequence[tuple[float, ...]]]) -> Array:
    """Boxes [N, R, 6] float32; padding rows are all -1."""
    truth = np.full((len(rows), max(1, *map(len, rows), 1), 6), -1, np.float32)
    for n, listed in enumerate(rows):
        if listed:
            truth[n, : len(listed)] = listed
    return truth
