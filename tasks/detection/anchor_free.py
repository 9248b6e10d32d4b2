"""An anchor-free single-stage detector, its loss and its boxes; and mAP, for other detectors too.

The output is one map [B, 1 + 4 + K, G, G] over cells of `STRIDE` pixels: a logit for a box's centre, the box (offset
of its centre from the cell's, and log of width and height, all in cells) and its class (K logits).
A = channels of the box, B = batch, D = detections, G = cells along a side, K = classes, N = images of a split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.contract import Array, Baseline, Data

if TYPE_CHECKING:
    from torch import Tensor, nn

STRIDE = 4  # pixels of a cell
MAX_DETECTIONS = 8  # detections in an image, at most
FOUND = 100  # detections of a class in an image that COCO's evaluator considers, at most


class Box(NamedTuple):
    """Pixels left <= x < right and top <= y < bottom, and the class of their content."""

    left: int
    top: int
    right: int
    bottom: int
    label: int

    def touches(self, other: Box) -> bool:
        """True if the two share a pixel or an edge."""
        gap = self.right < other.left or other.right < self.left or self.bottom < other.top or other.bottom < self.top
        return not gap


# ------------------------------------------------------------------------------------------------ target


def encode(scenes: Sequence[Sequence[Box]], side: int, most: int) -> tuple[Array, ...]:
    """Targets of `loss` and `score`, dense and padded.

    Returns:
        heat [N, G, G]: 1 in the cell of a box's centre, falling to 0 around it,
        box [N, 4, G, G]: offset of the centre (x, y) and size (width, height), in cells, of the cell's hottest box,
        label [N, G, G]: its class,
        boxes [N, most, 5]: left, top, right, bottom in pixels and class; padding rows are all -1.
    """
    cells = side // STRIDE
    heat = np.zeros((len(scenes), cells, cells))
    box = np.ones((len(scenes), 4, cells, cells))
    label = np.zeros((len(scenes), cells, cells), np.int64)
    boxes = np.full((len(scenes), most, 5), -1.0)
    y, x = np.mgrid[:cells, :cells]
    for n, scene in enumerate(scenes):
        for i, b in enumerate(scene):
            boxes[n, i] = b
            width, height = (b.right - b.left) / STRIDE, (b.bottom - b.top) / STRIDE
            cx, cy = (b.left + b.right) / (2 * STRIDE), (b.top + b.bottom) / (2 * STRIDE)
            bump = _bump(x - np.floor(cx), width) * _bump(y - np.floor(cy), height)
            hotter = bump > heat[n]
            heat[n][hotter] = bump[hotter]
            label[n][hotter] = b.label
            size = np.full_like(bump, width), np.full_like(bump, height)
            box[n][:, hotter] = np.stack([cx - x - 0.5, cy - y - 0.5, *size])[:, hotter]
    return heat.astype(np.float32), box.astype(np.float32), label, boxes.astype(np.float32)


def _bump(away: Array, size: float) -> Array:
    """(1 - u^2)^2 with u = distance / half the size (at least 1.5 cells): a Gaussian's shape in exact arithmetic."""
    return np.maximum(1 - (away / max(size / 2, 1.5)) ** 2, 0) ** 2


# --------------------------------------------------------------------------------------- model and loss


def detector(classes: int, width: int = 32) -> nn.Module:
    """Five 3x3 convolutions with BatchNorm and a linear read-out, for grey images [B, 1, STRIDE * G, STRIDE * G]."""
    import torch
    from torch import nn

    def block(inside: int, outside: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outside), nn.ReLU()]

    head = nn.Conv2d(width, 5 + classes, 1)
    assert head.bias is not None
    with torch.no_grad():
        head.bias[0] = -2.0  # most cells hold no centre
    return nn.Sequential(
        *block(1, width // 2, 2),
        *block(width // 2, width, 2),
        *block(width, width, 1),
        *block(width, width, 1),
        *block(width, width, 1),
        head,
    )


def loss(map_BCGG: Tensor, target: Sequence[Tensor]) -> Tensor:
    """Mean over images of the focal loss of the heat, the L1 of the boxes and the cross-entropy of the classes.

    Heat: quality focal loss |h - p|^2 BCE(p, h) (arXiv:2006.04388, equation 2), summed over cells and divided by the
    number of boxes. Box and class: means over cells weighted by the heat, so that cells near a centre learn too, as
    in TTFNet (arXiv:1909.00700). Each image must have a box.
    """
    from torch.nn import functional

    heat_BGG, box_BAGG, label_BGG = target[:3]
    logit_BGG = map_BCGG[:, 0]
    gap_BGG = (heat_BGG - logit_BGG.sigmoid()).square()
    focal_BGG = gap_BGG * functional.binary_cross_entropy_with_logits(logit_BGG, heat_BGG, reduction="none")
    offset_BGG = (map_BCGG[:, 1:3] - box_BAGG[:, :2]).abs().sum(1)
    size_BGG = (map_BCGG[:, 3:5] - box_BAGG[:, 2:].log()).abs().sum(1)
    entropy_BGG = functional.cross_entropy(map_BCGG[:, 5:], label_BGG, reduction="none")
    focal_B = focal_BGG.sum((1, 2)) / (heat_BGG == 1).sum((1, 2))
    near_B = (heat_BGG * (offset_BGG + size_BGG + entropy_BGG)).sum((1, 2)) / heat_BGG.sum((1, 2))
    return (focal_B + near_B).mean()


# ------------------------------------------------------------------------------------------------ scores


def decode(map_NCGG: Tensor) -> tuple[Array, Array]:
    """Detections: image [D], and left, top, right, bottom in pixels (within the image), class and score [D, 6].

    A detection is a cell at least as hot as its eight neighbours; the hottest `MAX_DETECTIONS` of an image are kept.
    Its score is the heat times the probability of the likeliest class.
    """
    import torch
    from torch.nn import functional

    heat = map_NCGG[:, 0].sigmoid()
    peak = heat == functional.max_pool2d(heat, 3, stride=1, padding=1)
    hottest, cell = (heat * peak).flatten(1).topk(MAX_DETECTIONS)
    chance, label = map_NCGG[:, 5:].softmax(1).max(1)
    index = torch.arange(heat.shape[-1])
    centre = map_NCGG[:, 1:3] + torch.stack(torch.meshgrid(index, index, indexing="xy")) + 0.5
    half = map_NCGG[:, 3:5].exp() / 2
    corners = (STRIDE * torch.cat([centre - half, centre + half], 1)).clamp(0, STRIDE * len(index))
    detections = torch.cat([corners, label[:, None], chance[:, None]], 1).flatten(2)
    detections = detections.gather(2, cell[:, None].expand(-1, 6, -1)).transpose(1, 2)
    detections[..., 5] *= hottest
    image, rank = (hottest > 0).nonzero(as_tuple=True)
    return image.numpy(), detections[image, rank].double().numpy()


def score(map_NCGG: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """COCO's mAP@[.5:.95] and mAP@.5 in [0, 1], and the loss."""
    boxes = target[3].double().numpy()
    value = loss(map_NCGG.double(), [t.double() if t.is_floating_point() else t for t in target]).item()
    return precision(*decode(map_NCGG), boxes) | {"loss": value}


def precision(image: Array, found: Array, boxes: Array) -> dict[str, float]:
    """mAP@[.5:.95] (`map`) and mAP@.5 (`map50`) by the COCO evaluator, over the classes that occur; 0 if none do.

    Args:
        image: [D] index of each detection's image.
        found: [D, 6] left, top, right, bottom in pixels, class and score.
        boxes: [N, most, 5] the truth in the format of `encode`; or [N, most, 6], where a last 1 marks a crowd, in
            which detections count neither as hits nor as errors.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    where, row = np.nonzero(boxes[..., 4] >= 0)
    true = boxes[where, row]
    crowds = true[:, 5].astype(int).tolist() if true.shape[1] > 5 else [0] * len(true)
    dataset = {
        "images": [{"id": n} for n in range(len(boxes))],
        "categories": [{"id": k} for k in sorted(set(true[:, 4].astype(int).tolist()))],
        "annotations": [
            a | {"id": i, "iscrowd": crowd, "area": a["bbox"][2] * a["bbox"][3]}
            for i, (a, crowd) in enumerate(zip(_annotations(where, true), crowds, strict=True), 1)
        ],
    }
    truth = COCO(dataset, print_function=_silent)
    results = [a | {"score": s} for a, s in zip(_annotations(image, found), found[:, 5].tolist(), strict=True)]
    judge = COCOeval_faster(truth, truth.loadRes(results), "bbox", print_function=_silent)
    judge.params.maxDets, judge.params.areaRng, judge.params.areaRngLbl = [FOUND], judge.params.areaRng[:1], ["all"]
    judge.evaluate()
    judge.accumulate()
    by_threshold = judge.eval["precision"]
    return {"map": _mean(by_threshold), "map50": _mean(by_threshold[0])}


def _mean(precisions: Array) -> float:
    """Mean over classes with boxes to detect. The evaluator marks others, such as a class of crowds only, by -1."""
    valid = precisions[precisions > -1]
    return float(valid.mean()) if valid.size else 0.0


def _annotations(image: Array, found: Array) -> list[dict[str, Any]]:
    """Boxes in COCO's format: left, top, width, height."""
    corner, size, label = found[:, :2], found[:, 2:4] - found[:, :2], found[:, 4].astype(int)
    columns = image.tolist(), label.tolist(), np.hstack([corner, size]).tolist()
    return [{"image_id": n, "category_id": k, "bbox": box} for n, k, box in zip(*columns, strict=True)]


def _silent(*_: object) -> None:
    pass


def empty(data: Data) -> Baseline:
    """The mAP on the test split without any detection: 0."""
    scores = precision(np.empty(0, int), np.empty((0, 6)), data.test.target[3])
    return Baseline("empty detections", scores["map"])


# -------------------------------------------------------------------------------- detectors that return their losses


def total(output: dict[str, Tensor], target: Sequence[Tensor]) -> Tensor:
    """Sum of the losses that a model of `tasks.detection.models` returns in training."""
    import torch

    return torch.stack([*output.values()]).sum()


def judged(output: dict[str, Tensor], target: Sequence[Tensor]) -> dict[str, float]:
    """COCO's mAP@[.5:.95] and mAP@.5 of `found` [N, D, 6] against boxes [N, R, 6], and the mean `loss` [N]."""
    detections, boxes = output["found"].double().numpy(), target[0].double().numpy()
    image, rank = np.nonzero(detections[..., 5])
    return precision(image, detections[image, rank], boxes) | {"loss": output["loss"].double().mean().item()}


def blind(data: Data) -> Baseline:
    """The mAP on the test split of fixed boxes: the commonest class, its mean size, at the same 36 places."""
    train, boxes = data.train.target[0], data.test.target[0]
    true = train[train[..., 4] >= 0]
    label = np.bincount(true[:, 4].astype(int)).argmax()
    width, height = (true[true[:, 4] == label, 2:4] - true[true[:, 4] == label, :2]).mean(0)
    side = true[:, 2:4].max()
    x, y = (centres.ravel() for centres in np.meshgrid(*[side * (np.arange(6) + 0.5) / 6] * 2))
    rows = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2, *np.ones((2, 36))], 1)
    rows[:, 4] = label
    scores = precision(np.repeat(np.arange(len(boxes)), len(rows)), np.tile(rows, (len(boxes), 1)), boxes.astype(float))
    return Baseline("mean boxes on a grid", scores["map"])
