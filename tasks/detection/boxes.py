"""COCO's annotations, read and checked field by field; one line names the first fault.

A file of annotations is `images` (id, file_name, width, height), `categories` (id, name) and `annotations` (id,
image_id, category_id, bbox = left, top, width, height in pixels, iscrowd 0 or 1).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from tasks.data.inventory import Blame

BEYOND = 0.01  # share of a side by which a box may leave its image (or a pixel, if more): annotators round

LARGEST = 10**6
"""Longest side of an image in pixels, more than any decoder takes."""

Box = tuple[float, float, float, float, int, int]
"""Left, top, right and bottom in pixels of the image, the category's id, and 1 for a crowd."""


class Listed(NamedTuple):
    """Content of a file of annotations."""

    images: dict[int, dict[str, Any]]  # by id, in the order of the file
    categories: dict[int, str]  # names, in the order of ids
    boxes: dict[int, list[Box]]  # of each image, without boxes of no area


def read(file: Path, blame: Blame) -> Listed:
    """Read a file of annotations.

    Raises:
        InputError: a field is missing, has another type, is out of range, or contradicts another.
    """
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise blame(f"is no whole file of COCO's annotations ({type(error).__name__}: {error})") from None
    lists = {name: _list(content, name, blame) for name in ("images", "categories", "annotations")}
    images = _by_id(lists["images"], "image", blame)
    for key, image in images.items():
        for side in ("width", "height"):
            if not (_is_whole(image.get(side)) and 0 < image[side] <= LARGEST):
                raise blame(
                    f"its image {key} has the {side} {str(image.get(side))[:40]}, not a whole number of pixels up to "
                    f"{LARGEST:,}"
                )
    _text(images, "image", "file_name", blame)
    categories = _by_id(lists["categories"], "category", blame)
    _text(categories, "category", "name", blame)
    return Listed(
        images,
        {key: categories[key]["name"] for key in sorted(categories)},
        _boxes(_by_id(lists["annotations"], "annotation", blame), images, categories, blame),
    )


def _list(content: Any, name: str, blame: Blame) -> list[Any]:
    entries = content.get(name) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise blame(f"is no whole file of COCO's annotations: it has no list {name!r}")
    return entries


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _by_id(entries: list[Any], kind: str, blame: Blame) -> dict[int, dict[str, Any]]:
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict) or not _is_whole(entry.get("id")):
            value = entry.get("id") if isinstance(entry, dict) else entry
            raise blame(f"its {kind} number {i} has the id {str(value)[:40]!r}, not a whole number")
    by_id = {entry["id"]: entry for entry in entries}
    if len(by_id) != len(entries):
        plural = {"category": "categories"}.get(kind, f"{kind}s")
        raise blame(f"lists {len(entries):,} {plural} with {len(by_id):,} ids")
    return by_id


def _text(entries: dict[int, dict[str, Any]], kind: str, field: str, blame: Blame) -> None:
    """Refuse entries without a text in this field, and two entries with the same text."""
    owner: dict[str, int] = {}
    for key, entry in entries.items():
        text = entry.get(field)
        if not isinstance(text, str) or not text:
            raise blame(f"its {kind} {key} has the {field} {text!r}, not a text")
        if owner.setdefault(text, key) != key:
            raise blame(f"its {kind} {key} has the {field} {text!r}, as {kind} {owner[text]} has")


def _boxes(
    annotations: dict[int, dict[str, Any]],
    images: dict[int, dict[str, Any]],
    categories: Collection[int],
    blame: Blame,
) -> dict[int, list[Box]]:
    boxes: dict[int, list[Box]] = {key: [] for key in images}
    for key, entry in annotations.items():
        subject = f"its annotation {key}"
        for field, listed in (("image", images), ("category", categories)):
            value = entry.get(f"{field}_id")
            if not _is_whole(value) or value not in listed:
                raise blame(
                    f"{subject} is of {field} {value if _is_whole(value) else repr(value)}, which it does not list"
                )
        crowd = entry.get("iscrowd", 0)
        if crowd not in (0, 1) or not isinstance(crowd, int):
            raise blame(f"{subject} has iscrowd {crowd!r}, not 0 or 1")
        image = images[entry["image_id"]]
        left, top, right, bottom = _corners(entry.get("bbox"), image["width"], image["height"], subject, blame)
        if right > left and bottom > top:
            boxes[entry["image_id"]].append((left, top, right, bottom, entry["category_id"], int(crowd)))
    return boxes


def _corners(bbox: Any, wide: int, high: int, which: str, blame: Blame) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box, cut to its image."""
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(_is_whole(at) or isinstance(at, float) for at in bbox):
        raise blame(f"{which} has the box {bbox!r}, not four numbers: left, top, width and height")
    try:
        left, top, width, height = map(float, bbox)
    except OverflowError:
        raise blame(f"{which} has a box of numbers beyond any image, of {wide}x{high}") from None
    aside, above = max(1.0, BEYOND * wide), max(1.0, BEYOND * high)
    within = -aside <= left and left + width <= wide + aside and -above <= top and top + height <= high + above
    if not (within and math.isfinite(width + height) and min(width, height) >= 0):
        raise blame(f"{which} has the box {bbox} in an image of {wide}x{high}")
    shares = all(0 <= at <= 1 for at in bbox) and max(left + width, top + height) <= 1 + 1e-6
    if shares and width and height and not all(at == round(at) for at in bbox):
        raise blame(f"{which} has the box {bbox} in an image of {wide}x{high}: these are shares; boxes are in pixels")
    return max(left, 0.0), max(top, 0.0), min(left + width, wide), min(top + height, high)
