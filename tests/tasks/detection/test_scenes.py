"""Scenes: exact boxes, disjoint sources, the same bytes everywhere, and a detector that learns."""

from importlib import import_module

import numpy as np
import pytest

from bench.contract import Move
from bench.engine.loader import Loader
from bench.engine.modules import Modules
from bench.strategies import optimizers
from tasks import parse
from tasks.data.embedded import Draw
from tasks.image.digits import load_mnist5k

scenes = import_module("tasks.detection.scenes")  # `from tasks import scenes` is the task


def boxes_of(split):
    return [scene[scene[:, 4] >= 0].astype(int) for scene in split.target[3]]


@pytest.mark.parametrize("grey", [12, 236])
def test_boxes_are_exact(monkeypatch, grey):
    monkeypatch.setattr(scenes, "photographs", lambda: (np.full((213, 320), grey),) * 2)
    draw = Draw(0)
    for _ in range(20):
        image, boxes = scenes.compose(draw, load_mnist5k().train, slice(0, 160))
        pasted = image != grey
        for left, top, right, bottom, _ in boxes:
            inside = pasted[top:bottom, left:right]
            assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
            pasted[top:bottom, left:right] = False
        assert not pasted.any()


def test_scenes_hold_one_to_four_digits_apart_from_each_other():
    for split in scenes.load_scenes():
        boxes = boxes_of(split)
        counts = np.bincount(list(map(len, boxes)), minlength=5)
        assert counts[0] == 0
        assert (counts[1:5] > 0).all()
        assert len(counts) == 5
        assert np.average(np.arange(5), weights=counts) > 2
        assert set(np.concatenate(boxes)[:, 4]) == set(range(10))
        for scene in boxes:
            covered = np.zeros((49, 49), int)
            for left, top, right, bottom, _ in scene:
                covered[top : bottom + 1, left : right + 1] += 1
            assert covered.max() == 1


def test_no_digit_and_no_background_is_in_two_splits(monkeypatch):
    digits = [{image.tobytes() for image in split.inputs[0]} for split in load_mnist5k()]
    assert not digits[0] & digits[1] | digits[0] & digits[2] | digits[1] & digits[2]
    columns = [range(320)[band] for _, band in scenes.SPLITS.values()]
    assert len(set().union(*columns)) == sum(map(len, columns))
    for n, band in scenes.SPLITS.values():
        marked = np.full((213, 320), 10**6)
        marked[:, band] = 100
        monkeypatch.setattr(scenes, "photographs", lambda grey=marked: (grey, grey))
        draw = Draw(n)
        assert max(scenes.compose(draw, load_mnist5k().control, band)[0].max() for _ in range(20)) < 256


def test_splits_and_digest_are_as_stated():
    data = scenes.load_scenes()
    assert [len(split) for split in data] == [600, 128, 256]
    assert data.train.inputs[0].shape == (600, 1, 48, 48)
    assert data.train.inputs[0].min() >= 0
    assert data.train.inputs[0].max() <= 1
    assert data.digest() == "488ab0bf3418"


def test_a_glyph_is_the_area_average_of_the_digit():
    digit = np.zeros((28, 28))
    digit[4:24, 8:20] = 1
    assert (scenes.glyph(digit, 28) == np.full((20, 12), 255)).all()
    assert (scenes.glyph(digit, 14) == np.full((10, 6), 255)).all()
    digit[4:24, 8] = 0.25  # with the full column beside it, the average is 5/8; alone below a quarter, it is no ink
    assert (scenes.glyph(digit, 14)[:, 0] == 255 * 5 // 8).all()
    assert scenes.glyph(0.2 * digit + 0.8 * (digit == 1), 28).shape == (20, 11)


def test_a_few_updates_reduce_the_loss_and_a_score_has_what_rows_need(one_thread):
    task = parse("scenes")
    feed = Loader(task, seed=0)
    engine = Modules(feed, optimizers.parse(task.optimizer), task.weight_decay)
    for step in range(30):
        engine.look(feed.batch(step), step)
        engine.move([Move(task.peak_lrs[-1])])
    losses = [float(loss[0]) for loss, _ in engine.history()]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    (scores,) = engine.evaluate("control", [0])
    assert set(scores) == {"map", "map50", "loss", "finite"}
    assert 0 <= scores["map"] <= scores["map50"] <= 1
    assert engine.recalibrated("control", [0]) is not None
