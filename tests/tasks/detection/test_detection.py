"""Encoding and decoding of boxes, the loss under vmap, and the COCO evaluator against hand and plain Python."""

import logging

import numpy as np
import pytest
import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from tasks.detection import anchor_free
from tasks.detection.anchor_free import Box
from tasks.detection.scenes import load_scenes

NOTHING = np.empty(0, int), np.empty((0, 6))


def perfect(target, classes):
    """The map that a faultless detector would answer."""
    heat, box, label = map(torch.as_tensor, target[:3])
    names = 50.0 * torch.nn.functional.one_hot(label, classes).movedim(-1, 1)
    return torch.cat([heat[:, None].logit(eps=1e-4), box[:, :2], box[:, 2:].log(), names], 1)


def truth(*scenes, side=48, most=4):
    return anchor_free.encode(scenes, side, most)[3]


def test_a_perfect_map_decodes_to_the_boxes():
    scene = [Box(1, 2, 14, 20, 7), Box(20, 4, 23, 19, 1), Box(30, 30, 48, 48, 0)]
    image, detections = anchor_free.decode(perfect(anchor_free.encode([[], scene], 48, 4), 10))
    best = detections[np.argsort(-detections[:, 5])[:3]]
    assert set(image[np.argsort(-detections[:, 5])[:3]]) == {1}
    assert {Box(*map(round, row[:5])) for row in best} == set(scene)
    assert np.abs(best[:, :4] - np.round(best[:, :4])).max() < 1e-4


def test_perfect_maps_of_the_test_split_score_one():
    target = tuple(map(torch.tensor, load_scenes().test.target))
    scores = anchor_free.score(perfect(target, 10), target)
    assert scores["map"] > 0.999
    assert scores["map50"] > 0.999
    assert scores["loss"] < 0.01


def test_boxes_are_cut_at_the_image_and_huge_outputs_do_no_harm():
    answer = torch.full((2, 15, 12, 12), 1e6)
    answer[1] = torch.randn(15, 12, 12) * 1e4
    image, detections = anchor_free.decode(answer)
    assert np.isfinite(detections).all()
    assert detections[:, :4].min() >= 0
    assert detections[:, :4].max() <= 48
    scores = anchor_free.precision(image, detections, truth([Box(3, 3, 13, 13, 1)], [Box(3, 3, 13, 13, 1)]))
    assert 0 <= scores["map"] <= 1


def test_no_detection_scores_nothing():
    assert anchor_free.precision(*NOTHING, truth([Box(3, 3, 13, 13, 1)])) == {"map": 0.0, "map50": 0.0}
    assert anchor_free.empty(load_scenes()) == ("empty detections", 0.0)


def test_a_class_of_crowds_alone_does_not_count():
    boxes = np.array([[[0, 0, 10, 10, 3, 0], [20, 20, 30, 30, 5, 1]]], float)
    exact = np.array([0]), np.array([[0, 0, 10, 10, 3, 0.9]])
    assert anchor_free.precision(*exact, boxes) == {"map": 1.0, "map50": 1.0}
    assert anchor_free.precision(*NOTHING, boxes) == {"map": 0.0, "map50": 0.0}
    assert anchor_free.precision(*NOTHING, boxes[:, 1:]) == {"map": 0.0, "map50": 0.0}
    assert anchor_free.precision(*NOTHING, np.full((1, 1, 6), -1.0)) == {"map": 0.0, "map50": 0.0}


def test_average_precision_of_an_example_worked_by_hand():
    boxes = truth([Box(0, 0, 10, 10, 3)], [Box(20, 20, 30, 30, 3)])
    image = np.array([0, 0, 1])
    detections = np.array(
        [
            [0, 0, 10, 10, 3, 0.9],  # exact
            [30, 30, 40, 40, 3, 0.8],  # on nothing
            [20, 20, 30, 26.3, 3, 0.7],  # overlap 0.63, so right at thresholds .5, .55 and .6 only
        ]
    )
    found_both = (51 * 1 + 50 * 2 / 3) / 101  # 101 recalls: precision 1 up to 0.5, then 2/3
    found_one = 51 / 101
    scores = anchor_free.precision(image, detections, boxes)
    assert scores["map50"] == pytest.approx(found_both, abs=1e-12)
    assert scores["map"] == pytest.approx((3 * found_both + 7 * found_one) / 10, abs=1e-12)


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def plain_ap(image, detections, boxes, label, threshold):
    """Average precision of one class as COCO defines it: greedy matches by score, 101 recalls."""
    open_boxes = {n: [b for b in scene if b[4] == label] for n, scene in enumerate(boxes)}
    total = sum(map(len, open_boxes.values()))
    rows = [(n, row) for n, row in zip(image, detections, strict=True) if row[4] == label]
    hits, curve = 0, []
    for i, (n, row) in enumerate(sorted(rows, key=lambda r: -r[1][5]), 1):
        match = max(open_boxes[n], key=lambda b: overlap(row, b), default=None)
        if match is not None and overlap(row, match) >= threshold:
            open_boxes[n] = [b for b in open_boxes[n] if b is not match]
            hits += 1
        curve.append((hits / total, hits / i))
    return np.mean([max((p for r, p in curve if r >= recall), default=0) for recall in np.linspace(0, 1, 101)])


def test_the_evaluator_agrees_with_plain_python():
    random = np.random.default_rng(0)
    boxes = load_scenes().control.target[3][:40].astype(float)
    where, row = np.nonzero(boxes[..., 4] >= 0)
    near = boxes[where, row] + np.hstack([random.normal(0, 1.2, (len(where), 4)), np.zeros((len(where), 1))])
    near[::5, 4] = 2
    image, detections = np.tile(where, 2), np.tile(near, (2, 1))
    detections[len(where) :, :4] += random.normal(0, 1, (len(where), 4))
    detections = np.hstack([detections, random.random((len(detections), 1))])
    labels = sorted(set(boxes[..., 4].ravel()) - {-1.0})
    aps = np.array([[plain_ap(image, detections, boxes, k, t / 100) for k in labels] for t in range(50, 100, 5)])
    scores = anchor_free.precision(image, detections, boxes)
    assert 0.2 < scores["map"] < 0.8
    assert scores["map"] == pytest.approx(aps.mean(), abs=1e-9)
    assert scores["map50"] == pytest.approx(aps[0].mean(), abs=1e-9)


def test_the_evaluator_is_silent(capfd, caplog):
    caplog.set_level(logging.INFO)
    anchor_free.precision(*NOTHING, truth([Box(3, 3, 13, 13, 1)]))
    anchor_free.precision(np.array([0]), np.array([[3, 3, 13, 13, 1, 0.5]]), truth([Box(3, 3, 13, 13, 1)]))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_boxes_that_touch_are_told_from_boxes_that_do_not():
    box = Box(10, 10, 20, 20, 0)
    assert box.touches(Box(19, 19, 30, 30, 1))
    assert box.touches(Box(20, 0, 30, 30, 1))
    assert not box.touches(Box(21, 0, 30, 30, 1))
    assert not box.touches(Box(0, 0, 30, 9, 1))


def test_members_under_vmap_equal_the_loop_in_float64():
    torch.manual_seed(0)
    split = load_scenes().train
    picture = torch.tensor(split.inputs[0][:6]).double()
    target = [t.double() if t.is_floating_point() else t for t in (torch.tensor(a[:6]) for a in split.target)]
    models = [anchor_free.detector(10, width=8).double() for _ in range(3)]
    weights, buffers = stack_module_state(models)

    def loss(weights, buffers):
        buffers = dict(buffers)
        return anchor_free.loss(functional_call(models[0], (weights, buffers), (picture,)), target)

    grad, loss_M = vmap(grad_and_value(loss), randomness="same")(weights, buffers)
    for i, model in enumerate(models):
        alone = anchor_free.loss(model(picture), target)
        alone.backward()
        assert loss_M[i].item() == pytest.approx(alone.item(), rel=1e-12)
        for name, weight in model.named_parameters():
            torch.testing.assert_close(grad[name][i], weight.grad, rtol=1e-9, atol=1e-12)
