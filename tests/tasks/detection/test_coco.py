"""Folders in COCO's format, read and refused; boxes that follow their images; detectors against torchvision's own."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tasks
from bench import engine as engines
from bench.contract import InputError, Move
from bench.engine.evaluation import score
from bench.engine.forward_backward import ForwardBackward
from bench.engine.loader import Loader
from bench.engine.modules import Modules, initial_model
from bench.numerics import Arithmetic
from bench.strategies import optimizers
from tasks.detection import anchor_free, annotations, augment, models
from tests.runs import ROOT
from tests.tasks import trees

SHARED = ROOT.parent / "shared" / "data"
NAMES = ("ssdlite", "fasterrcnn")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder `cells` in the flat layout, with three parts."""
    monkeypatch.setenv(trees.ROOT, str(tmp_path))
    trees.plant_boxes(tmp_path / "cells")
    return tmp_path / "cells"


def task(model="ssdlite", batch=2):
    return replace(tasks.parse(f"coco('cells', model={model!r})"), batch_size=batch)


def rows(truth):
    return [[tuple(row) for row in one[one[:, 4] >= 0].tolist()] for one in truth]


# ------------------------------------------------------------------------------------------------ folders


def test_boxes_are_those_of_the_file_in_pixels_of_the_square(folder):
    content = json.loads((folder / "instances_train.json").read_text())
    split = task().load().train
    scale = [(320 / entry["width"], 320 / entry["height"]) for entry in content["images"]]
    ids, label = [entry["id"] for entry in content["images"]], {7: 0, 3: 1}
    expected = [[] for _ in ids]
    for entry in content["annotations"]:
        n, (left, top, width, height) = ids.index(entry["image_id"]), entry["bbox"]
        if not entry["iscrowd"]:
            corners = np.array([left, top, left + width, top + height]) * (*scale[n], *scale[n])
            expected[n].append((*corners, 1 - label[entry["category_id"]], 0))
    for boxes, want in zip(rows(split.target[0]), expected, strict=True):
        assert len(boxes) == len(want)
        np.testing.assert_allclose(np.array(boxes).reshape(-1, 6), np.array(want).reshape(-1, 6), rtol=1e-6)
    assert split.inputs[0].shape == (len(ids), 3, 320, 320)


def test_what_is_in_a_box_is_where_the_image_shows_it(folder):
    """The test's images are grey, with a bright patch in every box."""
    split = task().load().test
    for image, truth in zip(split.inputs[0], rows(split.target[0]), strict=True):
        for left, top, right, bottom, *_ in truth:
            assert image[:, round(top) + 4 : round(bottom) - 4, round(left) + 4 : round(right) - 4].min() > 150


def test_crowds_are_ignored_in_training_and_kept_for_the_evaluator(folder):
    data = task().load()
    assert sum(row[5] for one in rows(data.train.target[0]) for row in one) == 0
    assert sum(row[5] for one in rows(data.test.target[0]) for row in one) == 1


def test_cocos_own_layout_holds_the_same_images_and_a_part_of_train_is_held_out(folder, monkeypatch):
    flat = task().load()
    trees.as_coco(folder, folder.parent / "whole" / "cells")
    monkeypatch.setenv(trees.ROOT, str(folder.parent / "whole"))
    data = task().load()
    assert [len(split) for split in data] == [18, 2, len(flat.control)]
    assert np.array_equal(data.test.inputs[0], flat.control.inputs[0])
    learnt = {image.tobytes() for split in data[:2] for image in split.inputs[0]}
    assert learnt == {image.tobytes() for image in flat.train.inputs[0]}


@pytest.mark.parametrize("place", ["annotations.json", "annotations/instances_default.json", "images/a.coco.json"])
def test_twenty_images_with_one_file_of_annotations_are_split_by_content(folder, monkeypatch, place):
    whole = task().load().train
    for part in ("val", "test"):
        (folder / f"instances_{part}.json").unlink()
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / "instances_train.json").rename(folder / place)
    folder = folder / "images" if place.startswith("images") else folder
    monkeypatch.delenv(trees.ROOT)
    monkeypatch.chdir(folder)
    own = tasks.parse("coco('.', batch_size=4)")
    assert own.name == f"coco(folder={str(folder)!r}, batch_size=4)"
    assert own.batch_size == 4
    assert own.model.args[3] == 4
    monkeypatch.chdir("/")
    data = tasks.parse(own.name).load()
    sizes = [len(split) for split in data]
    assert sum(sizes) == 20
    assert sizes[0] > 10
    images = {image.tobytes() for split in data for image in split.inputs[0]}
    assert images == {image.tobytes() for image in whole.inputs[0]}
    assert not (data.train.target[0][..., 5] == 1).any()


def test_what_is_streamed_is_what_would_be_held(folder, monkeypatch):
    whole = task().load()
    before = whole.digest()
    annotations._loaded.cache_clear()
    monkeypatch.setattr(annotations, "MAX_IN_MEMORY", 0)
    streamed = task().load()
    state = torch.random.get_rng_state()
    for split, twin in zip(whole, streamed, strict=True):
        assert np.array_equal(split.target[0], twin.target[0])
        (image,), (truth,) = twin.read(1, None)
        assert np.array_equal(image, split.inputs[0][1])
        assert np.array_equal(truth, split.target[0][1])
    (one,), (boxes,) = streamed.train.read(1, 5)
    (same,), (repeated,) = streamed.train.read(1, 5)
    (other,), _ = streamed.train.read(1, 6)
    assert np.array_equal(one, same)
    assert np.array_equal(boxes, repeated)
    assert not np.array_equal(one, other)
    assert torch.equal(state, torch.random.get_rng_state())
    assert streamed.digest() != before
    inputs, (target,) = Loader(task(), 0).batch(3)
    assert inputs[0].shape == (2, 3, 320, 320)
    assert torch.equal(inputs[1], target)


def edit(part, change):
    """Change what a part's annotations say."""

    def apply(folder):
        file = folder / f"instances_{part}.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    return apply


def cut(folder):
    file = folder / "images" / "train_03.png"
    file.write_bytes(file.read_bytes()[:200])


REFUSED = {
    "cut short": (cut, r"train_03\.png: holds no whole image"),
    "missing": (lambda f: (f / "images" / "val_01.jpg").unlink(), r"names val_01\.jpg, which is not in"),
    "empty": (lambda f: (f / "images" / "val_01.jpg").write_bytes(b""), r"val_01\.jpg: is empty"),
    "no JSON": (lambda f: (f / "instances_val.json").write_text("{"), r"instances_val\.json: is no whole file of COCO"),
    "no part": (lambda f: (f / "instances_val.json").unlink(), r"cells: no data: put .*instances_"),
    "category": (
        edit("train", lambda c: c["annotations"][2].update(category_id=9)),
        r"its annotation 102 is of category 9, which it does not list",
    ),
    "image": (
        edit("train", lambda c: c["annotations"][0].update(image_id=99)),
        r"its annotation 100 is of image 99, which it does not list",
    ),
    "size": (
        edit("test", lambda c: c["images"][1].update(width=77)),
        r"test_01\.png: is an image of 50x60, annotated as one of 77x60",
    ),
    "outside": (
        edit("val", lambda c: c["annotations"][0].update(bbox=[30, 5, 40, 10])),
        r"its annotation 100 has the box \[30, 5, 40, 10\] in an image of 50x60",
    ),
    "not a number": (
        edit("val", lambda c: c["annotations"][0].update(bbox=[5, float("nan"), 4, 10])),
        r"its annotation 100 has the box \[5, nan, 4, 10\]",
    ),
    "negative": (
        edit("val", lambda c: c["annotations"][0].update(bbox=[5, 5, -3, 10])),
        r"has the box \[5, 5, -3, 10\]",
    ),
    "no number": (
        edit("val", lambda c: c["annotations"][0].update(bbox=["a", 0, 1, 1])),
        "not four numbers",
    ),
    "no boxes": (edit("val", lambda c: c.pop("annotations")), r"is no whole file .* no list 'annotations'"),
    "classes": (
        edit("val", lambda c: c["categories"][0].update(name="flat")),
        "the val part: has the classes 3 round, 7 flat, not those of train: 7 flat in val alone",
    ),
    "twice": (edit("val", lambda c: c["images"].append(c["images"][0])), "lists 5 images with 4 ids"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_in_a_folder_is_one_line(folder, name):
    spoil, reason = REFUSED[name]
    spoil(folder)
    with pytest.raises(InputError, match=reason) as refusal:
        task().load()
    assert "\n" not in str(refusal.value)


def test_a_digest_that_does_not_hold_is_one_line(folder):
    file = folder / "images" / "train_00.png"
    (folder.parent / "SHA256SUMS").write_text(f"{'0' * 64}  ./cells/images/{file.name}\n")
    with pytest.raises(InputError, match=r"train_00\.png: its SHA256 is .*get it anew"):
        task().load()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bccd(model='yolo')", "unknown model of bccd 'yolo'; there are: fasterrcnn, ssdlite"),
        ("coco(backbone='coco')", "unknown backbone of coco 'coco'; there are: imagenet, scratch"),
        ("coco(3)", r"coco: give the path of your data as a text, coco\('PATH'\), not 3"),
    ],
)
def test_an_unknown_choice_is_one_line(text, reason):
    with pytest.raises(InputError, match=reason):
        tasks.parse(text)


def test_a_set_of_another_size_than_its_publishers_is_refused(folder):
    (folder.parent / "bccd").symlink_to(folder)
    with pytest.raises(InputError, match=r"instances_train\.json: lists 20 images, not 205"):
        tasks.parse("bccd").load()


@pytest.mark.skipif(not (SHARED / "bccd").is_dir(), reason="the pack bccd is not beside this checkout")
def test_the_pack_is_as_its_readme_says(monkeypatch):
    monkeypatch.setenv(trees.ROOT, str(SHARED))
    data = tasks.parse("bccd").load()
    assert [len(split) for split in data] == [205, 87, 72]
    labels = np.concatenate([split.target[0][..., 4].ravel() for split in data])
    assert [int((labels == k).sum()) for k in range(3)] == [4153, 372, 361]
    assert tasks.parse("bccd").baseline(data).value == pytest.approx(0.0042, abs=1e-4)


# ------------------------------------------------------------------------------------------------ jitter


def patch(boxes):
    """A grey image [1, 3, 320, 320] whose boxes are red, and its truth."""
    image = torch.full((1, 3, 320, 320), 60, dtype=torch.uint8)
    for left, top, right, bottom in boxes:
        image[:, 0, top:bottom, left:right] = 200
    truth = torch.tensor([[(*box, 0, 0) for box in boxes] + [(-1,) * 6]]).float()
    return image, truth


@pytest.mark.parametrize("upright", [True, False])
def test_boxes_follow_what_is_in_them(upright):
    image, truth = patch([(120, 90, 200, 150)])
    count = 0
    for seed in range(60):
        images, moved = augment.jittered(image, truth, torch.Generator().manual_seed(seed), upright)
        red = images[0, 0].float() - images[0, 1]
        y, x = (red > red.max() / 2).nonzero(as_tuple=True)
        patch_box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
        for box in rows(moved)[0]:
            assert np.abs(patch_box - np.array(box[:4])).max() <= 2, seed
            count += 1
    assert count > 50


def test_a_box_whose_centre_is_out_of_sight_is_dropped_and_the_rest_is_cut():
    image, truth = patch([(0, 0, 40, 40), (10, 10, 310, 310)])
    counts = set()
    for seed in range(40):
        _, moved = augment.jittered(image, truth, torch.Generator().manual_seed(seed))
        assert moved.shape == truth.shape
        assert (moved[0, 2] == -1).all()
        boxes = rows(moved)[0]
        counts.add(len(boxes))
        assert all(min(box[:4]) >= 0 and max(box[:4]) <= 320 for box in boxes)
    assert counts == {1, 2}


def test_up_stays_up_where_images_are_upright():
    image, truth = patch([(0, 0, 320, 100)])  # the sky
    for seed in range(30):
        for upright in (True, False):
            _, moved = augment.jittered(image, truth, torch.Generator().manual_seed(seed), upright)
            ends = [(top, bottom) for _, top, _, bottom, *_ in rows(moved)[0]]
            turned = any(bottom == 320 or top > 160 for top, bottom in ends)
            assert not (turned and upright)


def test_a_batch_is_jittered_as_a_function_of_seed_and_step(folder):
    feed, twin = Loader(task(), 0), Loader(task(), 0)
    twin.batch(1)
    (images, truth), (target,) = feed.batch(4)
    assert torch.equal(images, twin.batch(4)[0][0])
    assert torch.equal(truth, target)
    assert not torch.equal(images, Loader(task(), 1).batch(4)[0][0])
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1


# ------------------------------------------------------------------------------------------------ scores


def test_faultless_detections_score_one_and_a_crowd_counts_neither_way():
    truth = torch.tensor([[(10, 10, 60, 60, 1, 0), (100, 100, 300, 300, 1, 1), (-1,) * 6]]).float()
    detections = torch.zeros(1, 4, 6)
    detections[0, 0] = torch.tensor([10, 10, 60, 60, 1, 0.9])
    output = {"found": detections, "loss": torch.tensor([2.0])}
    assert anchor_free.judged(output, [truth]) == {"map": 1.0, "map50": 1.0, "loss": 2.0}
    detections[0, 1] = torch.tensor([120, 120, 180, 180, 1, 0.95])  # in the crowd
    assert anchor_free.judged(output, [truth])["map50"] == 1.0
    truth[0, 1, 5] = 0
    assert anchor_free.judged(output, [truth])["map50"] < 0.6


# ------------------------------------------------------------------------------------------------ detectors


@pytest.fixture
def small(folder, monkeypatch, one_thread):
    """Images of half the side, and few proposals to learn from: a fraction of the cost, and detectors do not mind."""
    build = models._built

    def fewer(builder, *choices, **settings):
        few = {"box_batch_size_per_image": 32} if "box_detections_per_img" in settings else {}
        return build(builder, *choices, **settings, **few)

    monkeypatch.setattr(annotations, "SIDE", 160)
    monkeypatch.setattr(models, "_built", fewer)


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_detections_are_those_of_torchvisions_own_forward(small, name):
    feed = Loader(task(name), 0, dtype=torch.float64)
    model = initial_model(feed)
    (images, truth), _ = feed.batch(0)
    resize = model.net.transform  # what torchvision does to images itself
    resize.image_mean, resize.image_std, resize.min_size = [0.0] * 3, [1.0] * 3, (160,)
    resize.fixed_size = (160, 160) if name == "ssdlite" else None
    resize.torch_choice = min  # of one size, by a number that would be missed where proposals are drawn
    torch.manual_seed(0)
    losses = model(images, truth)
    torch.manual_seed(0)
    reference = model.net([*images], models.unpacked(truth))
    assert losses.keys() == reference.keys()
    for key, loss in reference.items():
        torch.testing.assert_close(losses[key], loss, rtol=1e-9, atol=1e-12)
    assert task().loss(losses, [truth]).item() == pytest.approx(sum(reference.values()).item(), rel=1e-9)
    model.eval()
    with torch.no_grad():
        detections = model(images, truth)["found"]
        for rows, want in zip(detections, model.net([*images]), strict=True):
            n = min(100, len(want["scores"]))
            assert (rows[:, 5] > 0).sum() == n
            torch.testing.assert_close(rows[:n, :4], want["boxes"][:n], rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(rows[:n, 5], want["scores"][:n], rtol=1e-6, atol=1e-9)
            assert torch.equal(rows[:n, 4].long() + 1, want["labels"][:n])


@pytest.mark.parametrize("name", NAMES)
def test_reading_changes_nothing_and_is_the_same_again(small, name):
    detection = task(name)
    feed = Loader(detection, 0)
    model = initial_model(feed).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    chunks, target = feed.split("test")
    (inputs,) = chunks
    modes = [m.training for m in model.modules()]
    with torch.no_grad():
        torch.manual_seed(1)
        state = torch.random.get_rng_state()
        one = model(*inputs)
        assert torch.equal(state, torch.random.get_rng_state())
        torch.manual_seed(2)
        two = model(*inputs)
    assert all(torch.equal(one[k], two[k]) for k in ("found", "loss"))
    assert one["found"].shape == (4, 100, 6)
    assert one["loss"].shape == (4,)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    scores = score(detection, [one], target)
    assert scores["finite"] == 1
    assert 0 <= scores["map"] <= scores["map50"] <= 1


def test_members_draw_the_same_proposals_also_from_a_saved_state(small):
    """Faster R-CNN samples at random; the draw depends on seed and step, so a fork or a resumed twin is bitwise one."""
    detection = task("fasterrcnn", batch=1)
    feed = Loader(detection, 0)
    whole, resumed = (Modules(feed, optimizers.parse(detection.optimizer), detection.weight_decay) for _ in range(2))
    whole.look(feed.batch(0), 0)
    whole.take([0, 0])
    whole.move([Move(0.01)] * 2)
    resumed.load_state_dict(whole.state_dict())
    resumed.take([1])
    for engine in (whole, resumed):
        engine.look(feed.batch(1), 1)
    one, two, three = whole.signals() + resumed.signals()
    assert one == two == three
    assert np.isfinite(one[:2]).all()


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_trains_and_is_read(small, name):
    feed = Loader(task(name), 0)
    model, way = initial_model(feed), ForwardBackward(feed, Arithmetic(precision="bf16"))
    freed = [torch.full((4**n,), float("nan")) for n in range(2, 11) for _ in range(4)]
    del freed
    loss = way.backward(model, feed.batch(0), 0)
    assert loss.isfinite()
    assert not [n for n, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    chunks, _ = feed.split("control")
    with torch.no_grad():
        answer = way.output(model.eval(), next(iter(chunks)))
    assert all(a.dtype == torch.float32 and a.isfinite().all() for a in answer.values())


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_trains_to_the_same_bits_twice(small, name):
    torch.use_deterministic_algorithms(True)
    try:
        histories = []
        for _ in range(2):
            feed = Loader(task(name, batch=4), 0, "cuda")
            engine = Modules(feed, optimizers.parse("sgd(momentum=0.9)"), 0.0)
            for step in range(4):
                engine.look(feed.batch(step), step)
                engine.move([Move(0.01)])
            histories.append(engine.history() + engine.evaluate("test", [0]))
        assert str(histories[0]) == str(histories[1])
    finally:
        torch.use_deterministic_algorithms(False)


def test_detectors_are_not_stacked(folder):
    assert engines.choose(task(), "sgd(momentum=0.9)", 8) == "modules"
    with pytest.raises(InputError, match=r"no detectors, .*coco.*use --engine modules"):
        engines.choose(task(), "sgd(momentum=0.9)", 8, wish="stacked")


def test_an_image_without_a_box_is_learnt_from_too(small):
    for name in NAMES:
        model = initial_model(Loader(task(name), 0))
        images = torch.rand(2, 3, 160, 160)
        losses = model(images, torch.full((2, 3, 6), -1.0))
        total = task(name).loss(losses, [])
        total.backward()
        assert total.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_some_updates_lower_the_loss(small):
    detection = replace(task(batch=2), prepare=None)
    feed = Loader(task(batch=2), 0)
    inputs, target = feed.batch(0)
    model, losses = initial_model(feed), []
    stepper = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(6):
        loss = detection.loss(model(*inputs), target)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_a_pretrained_backbone_comes_from_torchvisions_cache_or_not_at_all(folder, monkeypatch, tmp_path):
    from torchvision.models import mobilenet_v3_large

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    text = "coco('cells', backbone='imagenet')"
    with pytest.raises(InputError, match=r"backbone='imagenet': no weights; put https://\S+ into \S+checkpoints"):
        tasks.parse(text).model()
    torch.manual_seed(3)
    state = mobilenet_v3_large().state_dict()
    file = tmp_path / "hub" / "checkpoints" / Path("mobilenet_v3_large-8738ca79.pth")
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    model = tasks.parse(text).model()
    first = next(p for name, p in model.named_parameters() if p.ndim == 4)
    assert torch.equal(first, state["features.0.0.weight"])
    assert tasks.parse(text).name == "coco(folder='cells', backbone='imagenet')"
