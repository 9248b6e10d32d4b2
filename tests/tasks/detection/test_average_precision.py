"""COCO's average precision for all images at once, bit for bit that of an evaluator in C++ that others wrote."""

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from tasks.detection import average_precision
from tasks.detection.scenes import load_scenes


def by_library(image, found, boxes):
    """mAP@[.5:.95] and mAP@.5 by faster-coco-eval."""
    where, row = np.nonzero(boxes[..., 4] >= 0)
    true = boxes[where, row]
    crowds = true[:, 5].astype(int).tolist() if true.shape[1] > 5 else [0] * len(true)
    dataset = {
        "images": [{"id": n} for n in range(len(boxes))],
        "categories": [{"id": k} for k in sorted(set(true[:, 4].astype(int).tolist()))],
        "annotations": [
            a | {"id": i, "iscrowd": crowd, "area": a["bbox"][2] * a["bbox"][3]}
            for i, (a, crowd) in enumerate(zip(annotations(where, true), crowds, strict=True), 1)
        ],
    }
    truth = COCO(dataset, print_function=silent)
    results = [a | {"score": s} for a, s in zip(annotations(image, found), found[:, 5].tolist(), strict=True)]
    judge = COCOeval_faster(truth, truth.loadRes(results), "bbox", print_function=silent)
    judge.params.maxDets, judge.params.areaRng, judge.params.areaRngLbl = [100], judge.params.areaRng[:1], ["all"]
    judge.evaluate()
    judge.accumulate()
    by_threshold = judge.eval["precision"]
    return {"map": mean(by_threshold), "map50": mean(by_threshold[0])}


def mean(precisions):
    """Over classes with boxes to detect; others are marked by -1."""
    valid = precisions[precisions > -1]
    return float(valid.mean()) if valid.size else 0.0


def annotations(image, found):
    corner, size, label = found[:, :2], found[:, 2:4] - found[:, :2], found[:, 4].astype(int)
    columns = image.tolist(), label.tolist(), np.hstack([corner, size]).tolist()
    return [{"image_id": n, "category_id": k, "bbox": box} for n, k, box in zip(*columns, strict=True)]


def silent(*_):
    pass


def drawn(draw, images, most):
    """Boxes of 4 classes, some crowds, and detections near them: some of no class, of equal scores, inside out."""
    whole, boxes = draw.random() < 0.5, np.full((images, most, draw.integers(5, 7)), -1.0)
    for row in boxes.reshape(-1, boxes.shape[2]):
        if draw.random() < 0.7:
            corner = draw.integers(0, 40, 2) + (0 if whole else draw.random(2))
            row[:5] = *corner, *(corner + draw.integers(1, 20, 2)), draw.integers(0, 4)
            row[5:] = draw.random() < 0.3
    where, row = np.nonzero(boxes[..., 4] >= 0)
    many = np.where(draw.random(len(where)) < 0.05, 120, draw.integers(0, 5, len(where)))
    image, found = np.repeat(where, many), np.repeat(boxes[where, row, :5], many, axis=0)
    found[:, :4] += draw.integers(-3, 4, (len(found), 4)) if whole else draw.normal(0, 2, (len(found), 4))
    found[:, 4] = np.where(draw.random(len(found)) < 0.2, draw.integers(0, 6, len(found)), found[:, 4])
    score = np.where(draw.random(len(found)) < 0.5, draw.integers(0, 5, len(found)) / 5, draw.random(len(found)))
    order = draw.permutation(len(found))
    return image[order], np.column_stack([found, score])[order], boxes


@pytest.mark.parametrize("seed", range(60))
def test_it_equals_an_evaluator_in_cpp_bit_for_bit(seed):
    draw = np.random.default_rng(seed)
    example = drawn(draw, draw.integers(1, 30), draw.integers(1, 8))
    assert average_precision.precision(*example) == by_library(*example)


def test_so_it_does_on_as_many_boxes_as_a_task_has():
    draw, boxes = np.random.default_rng(0), load_scenes().test.target[3].astype(float)
    where, row = np.nonzero(boxes[..., 4] >= 0)
    image = np.concatenate([where, draw.integers(0, len(boxes), 2000)])
    found = draw.random((len(image), 6)) * [30, 30, 0, 0, 10, 1]
    found[:, 2:4] = found[:, :2] + draw.integers(1, 18, (len(image), 2))
    found[: len(where), :5] = boxes[where, row] + np.hstack(
        [draw.normal(0, 1, (len(where), 4)), np.zeros((len(where), 1))]
    )
    scores = average_precision.precision(image, found, boxes)
    assert scores == by_library(image, found, boxes)
    assert 0.1 < scores["map"] < 0.9
