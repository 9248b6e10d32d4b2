"""ImageNet in both layouts, read by a model of timm that is made for tests."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

import tasks
from bench.contract import InputError
from bench.engine.evaluation import score
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from tests.tasks import trees

imagenet = sys.modules["tasks.image.imagenet"]  # of the package, the name stands for the task
NAME = "imagenet(model='timm:test_resnet', classes=2)"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    trees.plant_folders(tmp_path)
    monkeypatch.setenv(trees.ROOT, str(tmp_path))
    monkeypatch.setattr(imagenet, "SIDE", 64)
    return tmp_path / "imagenet"


@pytest.fixture
def small(folders, one_thread):
    return replace(tasks.parse(NAME), batch_size=8)


def test_it_trains_and_is_scored(small):
    assert tasks.parse(small.name).name == small.name == NAME
    feed = Loader(small, 0)
    (images,), (labels,) = feed.batch(0)
    assert images.shape == (8, 3, 64, 64)
    assert set(labels.tolist()) <= {0, 1}
    model, losses = initial_model(feed), []
    stepper = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for step in range(12):
        (images,), target = feed.batch(step)
        loss = small.loss(model(images), target)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < sum(losses[:4])
    chunks, target = feed.split("test")
    with torch.no_grad():
        scores = score(small, [model.eval()(*inputs) for inputs in chunks], target)
    assert {"accuracy", "loss"} <= scores.keys()
    assert small.baseline(small.load()).value == 0.5


def test_splits_are_disjoint_and_test_is_the_official_validation_part(small):
    data = small.load()
    assert tuple(map(len, data)) == (58, 2, 20)
    assert not set(data.train.read.index) & set(data.control.read.index)
    assert small.load() is data


def test_augmentation_depends_on_the_key_alone_and_evaluation_has_none(small):
    read = small.load().train.read
    state = torch.random.get_rng_state()
    one, same, other, plain = (read(3, k)[0][0] for k in (1, 1, 2, None))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.array_equal(plain, read(3, None)[0][0])
    assert one.shape == plain.shape == (3, 64, 64)
    assert one.dtype == np.uint8
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_hub_layout_holds_the_same_images(small, folders):
    whole = small.load()
    paths = {part: imagenet._folder(folders / part)[0].paths for part in ("train", "val")}
    hub = folders.parent / "hub" / "imagenet" / "data"
    hub.mkdir(parents=True)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    for part, name in (("train", "train"), ("val", "validation")):
        images = [{"bytes": Path(p).read_bytes(), "path": None} for p in paths[part]]
        labels = imagenet._folder(folders / part)[1].tolist()
        table = datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)
        table.to_parquet(hub / f"{name}-00000-of-00001.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(trees.ROOT, str(folders.parent / "hub"))
        other = small.load()
    for split, twin in zip(whole, other, strict=True):
        assert np.array_equal(split.target[0], twin.target[0])
        for i, key in ((0, None), (1, 5)):
            assert np.array_equal(split.read(i, key)[0][0], twin.read(i, key)[0][0])


def test_an_image_cut_short_is_one_line(small, folders):
    file = folders / "val" / "n00000001" / "3.JPEG"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match=r"3\.JPEG: holds no whole image.*get it anew") as refusal:
        list(Loader(small, 0).split("test")[0])
    assert "\n" not in str(refusal.value)


def test_an_empty_file_and_a_missing_class_are_refused_when_planning(small, folders):
    empty = folders / "train" / "n00000000" / "7.JPEG"
    content = empty.read_bytes()
    empty.write_bytes(b"")
    with pytest.raises(InputError, match=r"7\.JPEG: is empty"):
        small.load()
    empty.write_bytes(content)
    with pytest.raises(InputError, match="the train part: has 2 classes, not 1,000"):
        tasks.parse("imagenet").load()


def test_its_digest_tells_files_apart(small, folders):
    before = small.load().digest()
    imagenet._loaded.cache_clear()
    file = folders / "train" / "n00000000" / "7.JPEG"
    file.write_bytes(file.read_bytes() + b"0")
    assert small.load().digest() != before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("imagenet(model='resnet50')", "give timm:NAME, such as timm:resnet50"),
        ("imagenet(model='timm:resnet51')", r"unknown model 'timm:resnet51' \(did you mean timm:"),
        ("imagenet(classes=1)", "2 or more"),
        ("cifar10(model='timm:resnet19')", "unknown model 'timm:resnet19'"),
        ("cifar10(model='resnet19')", "there are: resnet20, resnet32, resnet56"),
    ],
)
def test_an_unknown_model_is_one_line(text, reason):
    with pytest.raises(InputError, match=reason):
        tasks.parse(text)


def test_models_of_timm_are_built_for_the_images_and_classes_of_the_task():
    for name in ("timm:test_resnet", "timm:test_vit"):
        model = tasks.parse(f"cifar100(model={name!r})").model()
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 100)


def test_an_image_other_than_the_list_of_digests_has_is_refused_when_it_is_read(folders):
    first, other = (folders / "val" / "n00000000" / name for name in ("0.JPEG", "1.JPEG"))
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    (folders.parent / "SHA256SUMS").write_text(f"{digest}  imagenet/val/n00000000/0.JPEG\n")
    test = tasks.parse(NAME).load().test
    test.read(0, None)
    first.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match=r"0\.JPEG: its SHA256 is"):
        test.read(0, None)
