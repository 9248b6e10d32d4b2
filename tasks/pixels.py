"""Small sets of images, whole in memory as bytes: read in torchvision's layout or the hub's, checked, and split.

N = images, C = channels, H, W = pixels.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.contract import Array, Data, InputError
from tasks.data import pick, stratified
from tasks.pack import Pack, root
from tasks.packs import PACKS

if TYPE_CHECKING:
    from datasets import Dataset

CONTROL = 5_000
"""Examples of the train part that are held out as the control split, each label by its share; a fixed choice."""

IDX = {"MNIST": "mnist", "FashionMNIST": "fashion_mnist"}
PARTS = {"train": "train", "test": "t10k"}


def load(name: str, classes: int = 10) -> Data:
    """Images [N, C, H, W] uint8 and labels [N] int64 of a set; `test` is the official one.

    Raises:
        InputError: the data are not there, or not what they should be.
    """
    return _loaded(name, classes, root())


@cache
def _loaded(name: str, classes: int, _root: str) -> Data:
    pack = PACKS[name]
    (images, labels), test = (_checked(pack, part, classes) for part in ("train", "test"))
    sizes = len(labels) - CONTROL, CONTROL
    held = [pick(index, (images,), (labels,)) for index in stratified(labels, sizes, seed=len(labels))]
    return Data(held[0], held[1], pick(np.arange(len(test[1])), (test[0],), (test[1],)))


def _checked(pack: Pack, part: str, classes: int) -> tuple[Array, Array]:
    """One official part, its size and its labels as they should be."""
    images, labels = _read(pack, part)
    wanted = pack.rows[part]
    if len(images) != wanted or len(labels) != wanted:
        raise pack.wrong(f"the {part} part", f"{len(images):,} images and {len(labels):,} labels, not {wanted:,}")
    if set(np.unique(labels)) != set(range(classes)):
        raise pack.wrong(f"the {part} part", f"its labels are not 0 .. {classes - 1}, each at least once")
    return images, labels


def _read(pack: Pack, part: str) -> tuple[Array, Array]:
    idx = next((folder for folder, name in IDX.items() if name == pack.name), None)
    batches = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}.get(pack.name)
    if not pack.on_hub and idx and (raw := pack.find(f"{idx}/raw")):
        return _idx(pack, raw, PARTS[part])
    if not pack.on_hub and batches and (folder := pack.find(batches)):
        return _batches(pack, folder.parent, part)
    return _table(pack, part)


# ---------------------------------------------------------------------------------------- torchvision's layouts


def _idx(pack: Pack, raw: Path, part: str) -> tuple[Array, Array]:
    """Images and labels of two idx files, packed or not."""
    images = _array(pack, raw, f"{part}-images-idx3-ubyte", axes=3)
    return images[:, None], _array(pack, raw, f"{part}-labels-idx1-ubyte", axes=1).astype(np.int64)


def _array(pack: Pack, raw: Path, name: str, axes: int) -> Array:
    """An idx file of bytes: 0, 0, 8, the number of axes, the length of each (4 bytes, big-endian), and the bytes."""
    path = next((p for p in (raw / f"{name}.gz", raw / name) if p.is_file()), None)
    if path is None:
        raise InputError(f"{pack.name}: {raw} has neither {name} nor {name}.gz; {pack.get}")
    pack.verify(path)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error):
        raise pack.wrong(path, "is no whole gzip file") from None
    if name in pack.sums:
        pack.compare(path, content, pack.sums[name])
    shape = np.frombuffer(content[4 : 4 + 4 * axes], ">u4").astype(int)
    if content[:4] != bytes((0, 0, 8, axes)) or len(content) != 4 + 4 * axes + shape.prod():
        raise pack.wrong(path, f"is no whole idx file of bytes with {axes} axes")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _batches(pack: Pack, folder: Path, part: str) -> tuple[Array, Array]:
    """CIFAR's pickled batches by torchvision, which holds each against its MD5 before it is unpickled."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[pack.name]
    try:
        held = kind(str(folder), train=part == "train", download=False)
    except RuntimeError:
        raise pack.wrong(folder / kind.base_folder, "a batch is missing, cut short or another than its MD5") from None
    return held.data.transpose(0, 3, 1, 2), np.asarray(held.targets, np.int64)


# ----------------------------------------------------------------------------------------------- the hub's layout


def _table(pack: Pack, part: str) -> tuple[Array, Array]:
    """Images and labels of a table with a column of images (`image` or `img`) and one of labels."""
    table = pack.table(part)
    image, label = _column(pack, table, "image", "img"), _column(pack, table, "label", "fine_label")
    images = np.stack(list(_decoded(pack, table.with_format(None)[:][image])))
    images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    labels = np.asarray(table.with_format(None)[:][label], np.int64)
    if pack.name in IDX.values():
        for kind, array in (("images-idx3", images[:, 0]), ("labels-idx1", labels.astype(np.uint8))):
            name = f"{PARTS[part]}-{kind}-ubyte"
            header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
            if name in pack.sums:
                pack.compare(f"the {part} part", header + array.tobytes(), pack.sums[name])
    return images, labels


def _column(pack: Pack, table: Dataset, *names: str) -> str:
    found = [name for name in names if name in table.features]
    if not found:
        raise pack.wrong("its table", f"has no column {' or '.join(names)}, but {', '.join(table.features)}")
    return found[0]


def _decoded(pack: Pack, images: list[dict[str, bytes]]) -> Iterator[Array]:
    """Each image, all of one size and kind; JPEG, which loses something, only where the set is one of JPEG images."""
    from PIL import Image

    first: Array | None = None
    for i, image in enumerate(images):
        try:
            picture = Image.open(io.BytesIO(image["bytes"]))
            pixels = np.asarray(picture)
        except OSError:
            raise pack.wrong(f"row {i}", "holds no whole image") from None
        if picture.format == "JPEG" and "jpeg" not in pack.name:
            raise pack.wrong(f"row {i}", f"is a JPEG, which is not {pack.title} any more (see cifar10_jpeg_q75)")
        first = pixels if first is None else first
        if pixels.shape != first.shape:
            raise pack.wrong(f"row {i}", f"is an image of {pixels.shape}, where row 0 is one of {first.shape}")
        yield pixels
