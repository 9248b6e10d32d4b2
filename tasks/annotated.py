"""Images with boxes in a folder of COCO's format: read, checked, scaled to one size, and split.

Two layouts are known: COCO's own, `annotations/instances_PART.json` beside a folder of images for each part, and
`instances_PART.json` beside one folder `images`. N = images of a split, R = rows, of boxes and of none, S = `SIDE`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.contract import Array, Data, InputError, Split, Stream, digest
from tasks.data import Draw
from tasks.jitter import jittered
from tasks.pack import Pack, root

SIDE = 320
"""Pixels of every image, stretched to a square: overlaps of boxes, and so the mAP, are the same as before."""

HELD = 5_000
"""Images of a split that are held in memory, 1.5 GB; more are streamed."""

CONTROL = 5_000
"""Images held out of the train part at most, or a tenth of it, where there is no third part."""

PARTS = {"train": ("train2017", "train"), "val": ("val2017", "val"), "test": ("test",)}
BEYOND = 0.01  # of a side by which a box may leave its image, or a pixel if that is more: annotators round


@dataclass(frozen=True)
class Part:
    """An official part: its images, and their boxes in pixels of the square, [N, R, 6], as `jitter` has them."""

    paths: Sequence[Path]
    sizes: Sequence[tuple[int, int]]  # width and height that each image should have
    truth: Array
    names: tuple[str, ...]  # of the classes

    def picked(self, index: Array) -> Part:
        """Some of the images."""
        paths, sizes = ([values[i] for i in index] for values in (self.paths, self.sizes))
        return Part(paths, sizes, self.truth[index], self.names)


class Folder(NamedTuple):
    """A folder understood."""

    data: Data
    names: tuple[str, ...]


def load(pack: Pack, upright: bool) -> Folder:
    """Images [N, 3, S, S] uint8 and boxes [N, R, 6] float32; with `test` there, `val` is control, else test.

    Boxes without an area, of which COCO has some, are left out; crowds are in what is evaluated only.

    Raises:
        InputError: the data are not there, or not what they should be.
    """
    return _loaded(pack, upright, root())


@cache
def _loaded(pack: Pack, upright: bool, _root: str) -> Folder:
    parts = {name: _part(pack, name) for name in PARTS if name != "test" or _annotations(pack, name)}
    train, held = parts["train"], parts["val"]
    for name, part in parts.items():
        if part.names != train.names:
            raise pack.wrong(f"the {name} part", f"has the classes {', '.join(part.names)}, not those of train")
    if "test" in parts:
        splits = train, held, parts["test"]
    else:
        order = Draw(len(train.paths)).permutation(len(train.paths))
        control = min(CONTROL, len(order) // 10)
        splits = train.picked(np.sort(order[control:])), train.picked(np.sort(order[:control])), held
    held_or_read = [_split(pack, Reading(pack, part, upright)) for part in splits]
    return Folder(Data(*held_or_read), train.names)


def _split(pack: Pack, reading: Reading) -> Split | Stream:
    count, truth = len(reading.part.paths), reading.part.truth
    if count > HELD:
        lines = (f"{path.name} {path.stat().st_size}" for path in reading.part.paths)
        return Stream(reading, (truth,), digest("\n".join(lines), 64))
    images = [reading(i, None)[0][0] for i in range(count)]
    return Split((np.stack(images) if images else np.empty((0, 3, SIDE, SIDE), np.uint8),), (truth,))


@dataclass(frozen=True)
class Reading:
    """An image [3, S, S] uint8 and its boxes [R, 6]; with a key, jittered."""

    pack: Pack
    part: Part
    upright: bool  # whether up is up in these images

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
        try:
            with Image.open(path) as image:
                if image.size != size:
                    what = "is an image of {}x{}, annotated as one of {}x{}".format(*image.size, *size)
                    raise self.pack.wrong(path, what)
                square = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        except OSError as error:
            raise self.pack.wrong(path, f"holds no whole image ({error})") from None
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


# ------------------------------------------------------------------------------------------------ annotations


def _annotations(pack: Pack, part: str) -> Path | None:
    names = PARTS[part]
    return pack.find(*(f"{folder}instances_{name}.json" for name in names for folder in ("annotations/", "")))


def _part(pack: Pack, part: str) -> Part:
    """A part by its file of annotations.

    Raises:
        InputError: it is not there, or contradicts itself or the images.
    """
    file = _annotations(pack, part)
    if file is None:
        raise pack.absent()
    pack.verify(file)
    try:
        said = json.loads(file.read_bytes())
        names = {int(it["id"]): str(it["name"]) for it in said["categories"]}
        images = {int(it["id"]): it for it in said["images"]}
        places = [_image_file(pack, file, str(it["file_name"])) for it in images.values()]
        sizes = [(int(it["width"]), int(it["height"])) for it in images.values()]
        rows = _rows(pack, file, said["annotations"], images, sorted(names), drop_crowds=part == "train")
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise pack.wrong(file, f"is no whole file of COCO's annotations ({type(error).__name__}: {error})") from None
    if len(images) != len(said["images"]):
        raise pack.wrong(file, f"lists {len(said['images']):,} images with {len(images):,} ids")
    if len(images) != pack.rows.get(part, len(images)):
        raise pack.wrong(file, f"lists {len(images):,} images, not {pack.rows[part]:,}")
    return Part(places, sizes, _padded([rows[i] for i in images]), tuple(names[k] for k in sorted(names)))


def _image_file(pack: Pack, annotations: Path, name: str) -> Path:
    """Where an image lies: in the folder of its part, or in `images`."""
    base = annotations.parent.parent if annotations.parent.name == "annotations" else annotations.parent
    part = annotations.stem.removeprefix("instances_")
    places = [base / folder / name for folder in (part, f"images/{part}", "images")]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise pack.wrong(annotations, f"names {name}, which is not in {part}/, images/{part}/ or images/")
    if not found.stat().st_size:
        raise pack.wrong(found, "is empty")
    return found


def _rows(
    pack: Pack, file: Path, annotations: Any, images: dict[int, Any], known: Sequence[int], *, drop_crowds: bool
) -> dict[int, list[tuple[float, ...]]]:
    """Boxes of each image; those without an area are left out, and crowds where nothing is to be learnt from them."""
    rows: dict[int, list[tuple[float, ...]]] = {i: [] for i in images}
    for it in annotations:
        which = f"its annotation {it['id']}"
        if it["image_id"] not in images:
            raise pack.wrong(file, f"{which} is of image {it['image_id']}, which it does not list")
        if it["category_id"] not in known:
            raise pack.wrong(file, f"{which} is of category {it['category_id']}, which it does not list")
        left, top, width, height = map(float, it["bbox"])
        wide, high = images[it["image_id"]]["width"], images[it["image_id"]]["height"]
        aside, above = max(1.0, BEYOND * wide), max(1.0, BEYOND * high)
        inside = -aside <= left and left + width <= wide + aside and -above <= top and top + height <= high + above
        if not (inside and math.isfinite(width + height) and min(width, height) >= 0):
            raise pack.wrong(file, f"{which} has the box {it['bbox']} in an image of {wide}x{high}")
        if drop_crowds and it.get("iscrowd", 0):
            continue
        corners = max(left, 0.0), max(top, 0.0), min(left + width, wide), min(top + height, high)
        scaled = [SIDE * at / side for at, side in zip(corners, (wide, high) * 2, strict=True)]
        if scaled[2] > scaled[0] and scaled[3] > scaled[1]:
            label = known.index(it["category_id"])
            rows[it["image_id"]].append((*scaled, float(label), float(it.get("iscrowd", 0))))
    return rows


def _padded(rows: Sequence[Sequence[tuple[float, ...]]]) -> Array:
    """Boxes [N, R, 6] float32; rows of no box are all -1."""
    truth = np.full((len(rows), max(1, *map(len, rows), 1), 6), -1, np.float32)
    for n, boxes in enumerate(rows):
        if boxes:
            truth[n, : len(boxes)] = boxes
    return truth
