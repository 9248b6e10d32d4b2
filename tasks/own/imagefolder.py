"""Images of the user's own, in a folder for each class.

N = images, S = `size`, the side of every image in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.contract import Array, Data, InputError, Split, Stream, Task
from schedules.spec import choose
from tasks.data import inventory, picture, places
from tasks.data.dataset import root
from tasks.image.augment import crop_and_flip, from_bytes
from tasks.image.imagenet import MEAN, STD
from tasks.own import folders, scores, splits

if TYPE_CHECKING:
    from torch import nn

LAYOUT = "DIR/CLASS/x.png, or DIR/train/CLASS/x.png and the same in validation and test"
MODELS = {f"resnet{layers}": layers for layers in (8, 14, 20)}
MOST = 2**31
"""Bytes of a split that is held in memory; a larger one is streamed."""


def imagefolder(
    folder: str = "imagefolder",
    model: Literal["resnet8", "resnet14", "resnet20"] = "resnet8",
    *,
    size: int = 64,
    augment: bool = True,
    metric: str = scores.HEADLINE,
    margin: float = scores.MARGIN,
) -> Task:
    """Images in a folder for each class, `imagefolder('DIR')`: DIR/CLASS/x.png or DIR/train/CLASS/x.png, as `datasets`.

    Each image is scaled and cropped to its middle square of `size` pixels. Splits are the folders train, validation
    and test where there are some, else by a rule on content (`tasks/own/splits.py`).

    Args:
        folder: A path, or the name of a folder in the one that --data names.
        model: resnet8, resnet14 or resnet20, of the CIFAR family with a first stride of 2; or timm:NAME, or a model of
            your own, my_model.py:Net.
        size: Side of the images in pixels.
        augment: Shift training images by up to 4 pixels, and mirror every second one.
        metric: The headline: balanced_accuracy, macro_f1 or accuracy.
        margin: The smallest difference of it worth having.

    Raises:
        InputError: no such model or metric, or a setting out of range.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 8 <= size <= 1024:
        raise InputError(f"imagefolder: size is a side in pixels, a whole number from 8 to 1024, not {size!r}")
    place = places.recorded("imagefolder", folder)
    settings = {"model": model, "size": size, "augment": augment, "metric": metric, "margin": margin}
    read = partial(_read, place, size, bool(augment))
    return scores.classes_task(
        kind="imagefolder",
        place=place,
        metric=metric,
        margin=margin,
        read=read,
        name=places.call(imagefolder, place, settings),
        family="image",
        batch_size=32,
        epochs=30,
        weight_decay=1e-4,
        peak_lrs=(0.01, 0.03, 0.1),
        layers="residual",
        model=partial(_model, choose(model, MODELS, "model of imagefolder"), read),
        prepare=from_bytes(MEAN, STD, crop_and_flip if augment else None),
        eval_epochs=2,
    )


def _model(layers: int, read: Callable[[], splits.Labelled]) -> nn.Module:
    from tasks.image.resnet import resnet

    return resnet(layers, len(read().names), stride=2)


def _read(place: str, size: int, augment: bool) -> splits.Labelled:
    """RGB bytes [N, 3, S, S] of upright images by Pillow: `ImageOps.fit(image, (S, S), Image.Resampling.BILINEAR)`."""
    return _loaded(place, size, augment, root())


@cache
def _loaded(place: str, size: int, augment: bool, _root: str) -> splits.Labelled:
    pack = places.own("imagefolder", place, LAYOUT)
    listing = folders.read(pack, inventory.IMAGES)
    stamp = "\n".join(listing.names)
    parts: list[Split | Stream] = []
    for index in listing.splits:
        files, labels = [listing.files[i] for i in index], listing.labels[index]
        reader = FolderReader(pack, files, labels, size, augment)
        if len(files) * 3 * size * size <= MOST:
            parts.append(Split((np.stack([reader.image(i) for i in range(len(files))]),), (labels,), stamp))
        else:
            contents = "".join(listing.marks[i].hex() for i in index)
            parts.append(Stream(reader, (labels,), f"{stamp}\n{size} {contents}"))
    return splits.Labelled(Data(*parts), listing.names)


@dataclass(frozen=True)
class FolderReader:
    """Reader of a stream: images [3, S, S] uint8 and labels; with a key, shifted and mirrored."""

    pack: places.OwnPack
    files: Sequence[Path]
    labels: Array
    size: int
    augment: bool

    def __call__(self, i: int, key: int | None) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        image = self.image(i)
        if key is not None and self.augment:
            import torch

            generator = torch.Generator().manual_seed(key)
            image = crop_and_flip(torch.from_numpy(image)[None], generator)[0].numpy()
        return (image,), (self.labels[i],)

    def image(self, i: int) -> Array:
        """Image i in its middle square, [3, S, S] uint8."""
        from PIL import Image, ImageOps

        whole = picture.opened(self.files[i], partial(self.pack.wrong, self.files[i]))
        square = ImageOps.fit(whole, (self.size, self.size), Image.Resampling.BILINEAR)
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
