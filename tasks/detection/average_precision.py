"""COCO's mean average precision of boxes, for all images, classes and thresholds at once.

The definition is that of pycocotools (github.com/cocodataset/cocoapi), over all areas, with 100 detections of a class
in an image at most. Values equal those of faster-coco-eval, an evaluator in C++, bit for bit.
A = detections of one rank, C = classes, D = detections, G = most boxes of a class in an image, N = images, P = pairs
of a class and an image that has boxes of it, R = recalls, T = thresholds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.contract import Array

MOST = 100
"""Detections of a class in an image that count, those of the highest scores."""

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""Thresholds [T] of the intersection over union."""

AREAS = 0, 1e10
"""Areas within which a detection that hits nothing is an error: outside are widths below 0."""

RECALLS = np.linspace(0, 1, 101)
"""Recalls [R] at which precision is read."""


class Truths(NamedTuple):
    """Boxes by pairs of a class and an image, padded."""

    pairs: Array  # [P] class index * N + image, ascending
    boxes: Array  # [P, G, 4] left, top, width, height
    singles: Array  # [P, G] True for a box that is to be detected, False for a crowd and for padding
    crowds: Array  # [P, G] True for a crowd


def precision(image: Array, found: Array, boxes: Array) -> dict[str, float]:
    """mAP@[.5:.95] (`map`) and mAP@.5 (`map50`) over the classes that occur; 0 if none do.

    Args:
        image: [D] index of each detection's image.
        found: [D, 6] left, top, right, bottom in pixels, class and score.
        boxes: [N, most, 5] left, top, right, bottom in pixels and class; padding rows are all -1. Or [N, most, 6],
            where a last 1 marks a crowd, in which detections count neither as hits nor as errors.
    """
    where, row = np.nonzero(boxes[..., 4] >= 0)
    true = boxes[where, row]
    classes, label = np.unique(true[:, 4].astype(int), return_inverse=True)
    crowd = true[:, 5].astype(int) > 0 if true.shape[1] > 5 else np.zeros(len(true), bool)
    truths = _truths(label * len(boxes) + where, true, crowd)
    known = np.isin(found[:, 4].astype(int), classes)
    pair = np.searchsorted(classes, found[known, 4].astype(int)) * len(boxes) + image[known]
    order = np.lexsort((-found[known, 5], pair))  # stable, as the evaluator's sorts are
    pair, found = pair[order], found[known][order]
    rank = _rank(pair)
    pair, found, rank = (a[rank < MOST] for a in (pair, found, rank))
    hit_TD, counts_TD = _matches(pair, rank, _sized(found), truths)
    kind = pair // max(len(boxes), 1)
    order = np.lexsort((-found[:, 5], kind))
    begins = np.searchsorted(kind[order], np.arange(len(classes) + 1))
    wanted = np.bincount(label[~crowd], minlength=len(classes))
    own = [order[begins[k] : begins[k + 1]] for k in np.flatnonzero(wanted)]
    curves = [_curve(hit_TD[:, i], counts_TD[:, i], total) for i, total in zip(own, wanted[wanted > 0], strict=True)]
    if not curves:
        return {"map": 0.0, "map50": 0.0}
    curves_TRC = np.stack(curves, 2)
    return {"map": float(curves_TRC.ravel().mean()), "map50": float(curves_TRC[0].ravel().mean())}


def _sized(corners: Array) -> Array:
    """Left, top, width and height of boxes given by left, top, right and bottom."""
    return np.hstack([corners[:, :2], corners[:, 2:4] - corners[:, :2]])


def _rank(pair: Array) -> Array:
    """Place of each entry among those of its pair, for entries sorted by pairs."""
    return np.arange(len(pair)) - np.searchsorted(pair, pair)


def _truths(pair: Array, true: Array, crowd: Array) -> Truths:
    """Boxes by their pairs, each in the order given."""
    order = np.argsort(pair, kind="stable")
    pairs, index = np.unique(pair[order], return_inverse=True)
    place = index, _rank(pair[order])
    shape = len(pairs), int(place[1].max(initial=-1)) + 1
    box_PG4, single_PG, crowd_PG = np.zeros((*shape, 4)), np.zeros(shape, bool), np.zeros(shape, bool)
    box_PG4[place], single_PG[place], crowd_PG[place] = _sized(true)[order], ~crowd[order], crowd[order]
    return Truths(pairs, box_PG4, single_PG, crowd_PG)


def _matches(pair: Array, rank: Array, found: Array, truths: Truths) -> tuple[Array, Array]:
    """Detections that hit a box, and those that count as a hit or an error, both [T, D].

    Those of an image are taken from the highest score on. Each takes the box of the largest overlap that nobody has
    taken, the last of several equal ones, if the overlap reaches the threshold. Without one it may lie in a crowd.
    """
    area_D = found[:, 2] * found[:, 3]
    counts_TD = np.tile((area_D >= AREAS[0]) & (area_D <= AREAS[1]), (len(OVERLAPS), 1))
    hit_TD = np.zeros_like(counts_TD)
    places = np.searchsorted(truths.pairs, pair)
    has_truth = np.isin(pair, truths.pairs)
    free_PTG = np.repeat(truths.singles[:, None], len(OVERLAPS), axis=1)
    for r in range(int(rank[has_truth].max(initial=-1)) + 1):
        (own,) = np.nonzero(has_truth & (rank == r))
        p = places[own]
        overlap_AG = _overlaps(found[own, None], truths.boxes[p], truths.crowds[p])
        reached_ATG = overlap_AG[:, None] >= OVERLAPS[:, None]
        open_ATG = np.where(reached_ATG & free_PTG[p], overlap_AG[:, None], -1.0)
        best_AT = open_ATG.shape[2] - 1 - open_ATG[..., ::-1].argmax(2)
        hit_AT = (reached_ATG & free_PTG[p]).any(2)
        a, t = np.nonzero(hit_AT)
        free_PTG[p[a], t, best_AT[a, t]] = False
        hit_TD[:, own] = hit_AT.T
        counts_TD[:, own] &= ~(reached_ATG & truths.crowds[p][:, None]).any(2).T
    return hit_TD, counts_TD | hit_TD


def _overlaps(found_A14: Array, box_AG4: Array, crowd_AG: Array) -> Array:
    """Intersection over union [A, G] of boxes; over the detection's area in a crowd."""
    low = np.maximum(found_A14[..., :2], box_AG4[..., :2])
    high = np.minimum(found_A14[..., :2] + found_A14[..., 2:], box_AG4[..., :2] + box_AG4[..., 2:])
    width_AG, height_AG = np.moveaxis(np.maximum(high - low, 0), 2, 0)
    both_AG = width_AG * height_AG
    area_A1, area_AG = (a[..., 2] * a[..., 3] for a in (found_A14, box_AG4))
    union_AG = np.where(crowd_AG, area_A1, area_A1 + area_AG - both_AG)
    overlap_AG: Array = np.divide(both_AG, union_AG, out=np.zeros_like(both_AG), where=both_AG > 0)
    return overlap_AG


def _curve(hit_TD: Array, counts_TD: Array, total: int) -> Array:
    """Precision [T, R] of one class: the largest one at each recall or a higher one. Detections are sorted by score."""
    hits_TD = hit_TD.cumsum(1)
    tried_TD = counts_TD.cumsum(1)
    precision_TD = np.divide(hits_TD, tried_TD, out=np.zeros(hits_TD.shape), where=tried_TD > 0)
    best_TD = np.maximum.accumulate(precision_TD[:, ::-1], axis=1)[:, ::-1]
    best_TD = np.hstack([best_TD, np.zeros((len(best_TD), 1))])  # for recalls that are not reached
    rows = zip(best_TD, hits_TD / total, strict=True)
    return np.stack([best_D[np.searchsorted(recall_D, RECALLS)] for best_D, recall_D in rows])
