"""Small sets of images, whole in memory as bytes: read in torchvision's or the hub's layout, checked, and split.

N = images, C = channels, H, W = pixels.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.contract import Array, Data, InputError
from tasks.data import inventory, picture
from tasks.data.dataset import Pack, root
from tasks.data.embedded import pick, stratified
from tasks.data.registry import PACKS

if TYPE_CHECKING:
    from datasets import Dataset

CONTROL = 5_000
"""Examples of the train part held out as the control split, stratified by label; the choice is fixed."""

Read = tuple[Array, Array, Sequence[str] | None]
"""Images, labels, and the names of the classes if the files give them."""

IDX = {"MNIST": "mnist", "FashionMNIST": "fashion_mnist"}
DISTRIBUTIONS = {"fashion_mnist": ("fashion-mnist",)}
"""Folders of sets in distributions: Debian's, in /usr/share/datasets."""

PARTS = {"train": "train", "test": "t10k"}
GREY, COLOUR = (1, 28, 28), (3, 32, 32)
"""Channels, height and width of every image: of the sets in IDX, and of the others."""


def load(name: str, classes: int = 10) -> Data:
    """Images [N, C, H, W] uint8 and labels [N] int64 of a set; `test` is the official one.

    Raises:
        InputError: the data are missing or invalid.
    """
    return _loaded(name, classes, root())


@cache
def _loaded(name: str, classes: int, _root: str) -> Data:
    pack = PACKS[name]
    parts = {part: _checked(pack, part, classes) for part in ("train", "test")}
    inventory.agree("classes", {part: names for part, (_, _, names) in parts.items()}, pack.wrong)
    (images, labels, _), test = parts.values()
    sizes = len(labels) - CONTROL, CONTROL
    splits = [pick(index, (images,), (labels,)) for index in stratified(labels, sizes, seed=len(labels))]
    return Data(splits[0], splits[1], pick(np.arange(len(test[1])), (test[0],), (test[1],)))


def _checked(pack: Pack, part: str, classes: int) -> Read:
    """One official part, with its size, shape and labels checked."""
    images, labels, names = _read(pack, part)
    expected, shape = pack.rows[part], GREY if pack.name in IDX.values() else COLOUR
    if len(images) != expected or len(labels) != expected:
        raise pack.wrong(f"the {part} part", f"{len(images):,} images and {len(labels):,} labels, not {expected:,}")
    if images.shape[1:] != shape:
        raise pack.wrong(f"the {part} part", f"its images are of {images.shape[1:]}, not {shape}")
    if set(np.unique(labels)) != set(range(classes)):
        raise pack.wrong(f"the {part} part", f"its labels are not 0 .. {classes - 1}, each at least once")
    return images, labels, names


def _read(pack: Pack, part: str) -> Read:
    batches = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}.get(pack.name)
    if not pack.on_hub and pack.name in IDX.values() and (raw := _raw(pack)):
        return *_idx(pack, raw, PARTS[part]), None
    if not pack.on_hub and batches and (folder := pack.find(batches)):
        return *_batches(pack, folder.parent, part), None
    return _table(pack, part)


# ---------------------------------------------------------------------------------------- torchvision's layouts


def _raw(pack: Pack) -> Path | None:
    """The folder of the idx files, torchvision's or the set's own; None if there are no such files."""
    title = next(folder for folder, name in IDX.items() if name == pack.name)
    places = [place for place in pack.places(f"{title}/raw", title, "raw", "") if place.is_dir()]
    existing = [place for place in places if any(_is_idx(path) for path in inventory.visible(place))]
    for other in existing[1:]:
        if not other.samefile(existing[0]):
            raise pack.wrong(other, f"has idx files, and {existing[0]} too; keep the right ones")
    if not existing:  # the digests tell the two sets apart
        flat = [Path(root()) / place for place in (*DISTRIBUTIONS.get(pack.name, ()), "")]
        existing = [place for place in flat if place.is_dir() and any(map(_is_idx, inventory.visible(place)))]
    return existing[0] if existing else None


def _is_idx(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith("-ubyte") and path.name.startswith(tuple(PARTS.values()))


def _idx(pack: Pack, raw: Path, part: str) -> tuple[Array, Array]:
    """Images and labels of two idx files, compressed or not."""
    images = _array(pack, raw, f"{part}-images-idx3-ubyte", axes=3)
    return images[:, None], _array(pack, raw, f"{part}-labels-idx1-ubyte", axes=1).astype(np.int64)


def _array(pack: Pack, raw: Path, name: str, axes: int) -> Array:
    """An idx file of bytes: 0, 0, 8, the number of axes, the length of each (4 bytes, big-endian), and the bytes.

    The digest is of the content, because compressing it again gives another gzip file.
    """
    path = next((p for p in (raw / f"{name}.gz", raw / name) if p.is_file()), None)
    if path is None:
        raise InputError(f"{pack.name}: {raw} has neither {name} nor {name}.gz; {pack.get}")
    if name not in pack.sums:
        pack.verify(path)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error):
        raise pack.wrong(path, "is no whole gzip file") from None
    if name in pack.sums:
        pack.compare(path, content, pack.sums[name])
    head = 4 + 4 * axes
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, head, 4)]
    if content[:4] != bytes((0, 0, 8, axes)) or len(content) != head + math.prod(shape):
        raise pack.wrong(path, f"is no whole idx file of bytes with {axes} axes")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def _batches(pack: Pack, folder: Path, part: str) -> tuple[Array, Array]:
    """CIFAR's pickled batches, read by torchvision, which checks the MD5 of each before it unpickles it."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[pack.name]
    try:
        batches = kind(str(folder), train=part == "train", download=False)
    except RuntimeError:
        raise pack.wrong(folder / kind.base_folder, "a batch is missing, cut short or another than its MD5") from None
    return batches.data.transpose(0, 3, 1, 2), np.asarray(batches.targets, np.int64)


# ----------------------------------------------------------------------------------------------- the hub's layout


def _table(pack: Pack, part: str) -> Read:
    """Images, labels and names of a table with a column of images (`image` or `img`) and one of labels."""
    table = pack.table(part)
    image, label = _column(pack, table, "image", "img"), _column(pack, table, "label", "fine_label")
    plain = table.with_format(None)
    labels = inventory.whole(plain[label][:], partial(pack.wrong, f"the {part} part's column {label}"))
    images = np.stack(list(_decoded(pack, part, plain[:][image]))) if len(labels) else np.empty((0, *COLOUR), np.uint8)
    images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    if pack.name in IDX.values():
        for kind, array in (("images-idx3", images[:, 0]), ("labels-idx1", labels.astype(np.uint8))):
            name = f"{PARTS[part]}-{kind}-ubyte"
            header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
            if name in pack.sums:
                pack.compare(f"the {part} part", header + array.tobytes(), pack.sums[name])
    return images, labels, getattr(table.features[label], "names", None)


def _column(pack: Pack, table: Dataset, *names: str) -> str:
    matches = [name for name in names if name in table.features]
    if not matches:
        raise pack.wrong("its table", f"has no column {' or '.join(names)}, but {', '.join(table.features)}")
    return matches[0]


def _decoded(pack: Pack, part: str, images: list[dict[str, bytes]]) -> Iterator[Array]:
    """Pixels of each image, all of one size and with the set's channels; JPEG, which is lossy, only where expected."""
    first: Array | None = None
    for i, image in enumerate(images):
        blame = partial(pack.wrong, f"row {i} of {part}")
        rgb = picture.opened(io.BytesIO((isinstance(image, dict) and image.get("bytes")) or b""), blame)
        if rgb.format == "JPEG" and "jpeg" not in pack.name:
            raise blame(f"is a JPEG, which is not {pack.title} any more (see cifar10_jpeg_q75)")
        pixels = picture.grey(rgb) if pack.name in IDX.values() else np.asarray(rgb)
        if pixels is None:
            raise blame(f"is in colour, which {pack.title} is not")
        first = pixels if first is None else first
        if pixels.shape != first.shape:
            raise blame(f"is an image of {pixels.shape}, where row 0 is one of {first.shape}")
        yield pixels
