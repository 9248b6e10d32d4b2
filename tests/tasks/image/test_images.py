"""Small sets of images: every layout reads back, and what is absent, cut short or mislabelled is refused in a line."""

import gzip
import hashlib

import datasets
import numpy as np
import pytest

import tasks
from bench.cli import main
from bench.contract import InputError
from tasks.data.registry import PACKS
from tasks.image import images as pixels
from tests.runs import ROOT
from tests.tasks import trees

SHARED = ROOT.parent / "shared" / "data"
real = pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="the packs of real data are not here")


def whole(data):
    """All images and labels that are not for testing, in an order of their own."""
    images = np.concatenate([data.train.inputs[0], data.control.inputs[0]])
    return sorted(zip(map(bytes, images), np.concatenate([data.train.target[0], data.control.target[0]]), strict=True))


def expected(shape, classes=10):
    images, labels = trees.examples("train", shape, classes)
    images = images[:, None] if len(shape) == 2 else images if shape[0] == 3 else images.transpose(0, 3, 1, 2)
    return sorted(zip(map(bytes, images), labels, strict=True))


def refused(name, classes=10):
    with pytest.raises(InputError) as refusal:
        pixels.load(name, classes)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("name", "plant", "shape"),
    [
        ("mnist", lambda root: trees.plant_idx(root), (28, 28)),
        ("mnist", lambda root: trees.plant_idx(root, "MNIST", packed=False), (28, 28)),
        ("fashion_mnist", lambda root: trees.plant_idx(root, "fashion_mnist/FashionMNIST"), (28, 28)),
        ("mnist", lambda root: trees.plant_table(root, "mnist/mnist", (28, 28), names=("image", "label")), (28, 28)),
        ("cifar10", lambda root: trees.plant_table(root, "cifar10/plain_text", (32, 32, 3), shards=2), (32, 32, 3)),
    ],
    ids=["packed idx", "unpacked idx", "idx of fashion", "a table of grey images", "shards of a table"],
)
def test_each_layout_reads_back(tmp_path, monkeypatch, name, plant, shape):
    plant(tmp_path)
    trees.expect(monkeypatch, tmp_path)
    data = pixels.load(name)
    assert tuple(map(len, data)) == (200, 100, 100)
    assert np.bincount(data.control.target[0]).tolist() == [10] * 10
    assert whole(data) == expected(shape)
    assert data is pixels.load(name)


@pytest.mark.parametrize("classes", [10, 100])
def test_pickled_batches_read_back_and_are_held_against_their_digests(tmp_path, monkeypatch, classes):
    name = f"cifar{classes}"
    batch = trees.plant_batches(tmp_path, monkeypatch, classes)
    trees.expect(monkeypatch, tmp_path)
    assert whole(pixels.load(name, classes)) == expected((3, 32, 32), classes)
    batch.write_bytes(batch.read_bytes()[:-1])
    pixels._loaded.cache_clear()
    assert "cut short or another than its MD5" in refused(name, classes)


def test_the_fine_labels_of_cifar100_are_read(tmp_path, monkeypatch):
    trees.plant(tmp_path, "cifar100")
    trees.expect(monkeypatch, tmp_path)
    assert whole(pixels.load("cifar100", 100)) == expected((32, 32, 3), 100)


@pytest.mark.parametrize("name", trees.NAMES)
def test_absent_data_are_one_line_that_says_how_to_get_them(tmp_path, monkeypatch, name):
    trees.expect(monkeypatch, tmp_path)
    assert PACKS[name].get in refused(name)
    monkeypatch.delenv(trees.ROOT)
    assert "give --data DIR or set GLIDESLOPE_DATA" in refused(name)


def test_a_run_without_data_ends_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(trees.ROOT, raising=False)
    assert main.main(["run", "real", "--tasks", "mnist", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("glideslope: mnist: no data: give --data DIR")
    assert main.main(["run", "real", "--data", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def shorten(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def exchange(path):
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    path.write_bytes(labels.read_bytes())


def fewer(path):
    trees.idx(path.with_suffix(""), trees.examples("test", (28, 28))[0])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(shorten, "no whole gzip file"), (exchange, "no whole idx file of bytes with 3 axes"), (fewer, "100 images")],
)
def test_a_truncated_or_mislabelled_idx_file_is_refused(tmp_path, monkeypatch, spoil, reason):
    trees.plant_idx(tmp_path)
    trees.expect(monkeypatch, tmp_path)
    spoil(tmp_path / "mnist/MNIST/raw/train-images-idx3-ubyte.gz")
    assert reason in refused("mnist")


def test_the_digest_of_the_unpacked_file_is_checked_in_every_layout(tmp_path, monkeypatch):
    trees.plant_idx(tmp_path)
    packed = tmp_path / "mnist/MNIST/raw/train-images-idx3-ubyte.gz"
    right = hashlib.md5(gzip.decompress(packed.read_bytes())).hexdigest()
    trees.expect(monkeypatch, tmp_path, sums={"train-images-idx3-ubyte": right})
    assert len(pixels.load("mnist").train) == 200
    trees.plant_table(tmp_path / "tables", "mnist", (28, 28), names=("image", "label"))
    trees.expect(monkeypatch, tmp_path / "tables", sums={"train-images-idx3-ubyte": right})
    assert len(pixels.load("mnist").train) == 200
    pixels._loaded.cache_clear()
    trees.expect(monkeypatch, tmp_path / "tables", sums={"train-images-idx3-ubyte": "0" * 32})
    assert "not 00000000" in refused("mnist")


def test_a_list_of_sums_beside_the_data_is_heeded(tmp_path, monkeypatch):
    trees.plant_table(tmp_path, "cifar10", (32, 32, 3))
    file = tmp_path / "cifar10" / "train.parquet"
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  ./cifar10/train.parquet\n")
    trees.expect(monkeypatch, tmp_path)
    assert len(pixels.load("cifar10").train) == 200
    pixels._loaded.cache_clear()
    file.write_bytes(file.read_bytes() + b" ")
    assert "its SHA256 is" in refused("cifar10")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"names": ("picture", "label")}, "has no column image or img"),
        ({"names": ("img", "kind")}, "has no column label or fine_label"),
        ({"classes": 9}, "its labels are not 0 .. 9"),
        ({"kind": "JPEG"}, "is a JPEG, which is not CIFAR-10 any more"),
    ],
)
def test_a_mislabelled_table_is_refused(tmp_path, monkeypatch, settings, reason):
    trees.plant_table(tmp_path, "cifar10", (32, 32, 3), **settings)
    trees.expect(monkeypatch, tmp_path)
    assert reason in refused("cifar10")


def test_a_truncated_table_is_refused(tmp_path, monkeypatch):
    trees.plant_table(tmp_path, "cifar10", (32, 32, 3))
    trees.expect(monkeypatch, tmp_path)
    shorten(tmp_path / "cifar10" / "train.parquet")
    assert "is no whole parquet file" in refused("cifar10")


def test_the_hub_is_asked_only_when_told_to(monkeypatch):
    requests = []

    def fetch(path, name=None, split=None):
        requests.append((path, split))
        return trees.table(*trees.examples(split, (32, 32, 3)))

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    trees.expect(monkeypatch, "hub")
    assert len(pixels.load("cifar10").train) == 200
    assert requests == [("uoft-cs/cifar10", "train"), ("uoft-cs/cifar10", "test")]
    assert "give --data DIR" in refused("cifar10_jpeg_q75"), "which no hub has"
    pixels._loaded.cache_clear()


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    def fetch(path, name=None, split=None):
        raise ConnectionError(f"Couldn't reach {path!r} on the Hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    trees.expect(monkeypatch, "hub")
    assert "the hub does not give train of uoft-cs/cifar10: Couldn't reach" in refused("cifar10")


@real
def test_the_mnist_pack_is_what_it_was(monkeypatch):
    monkeypatch.setenv(trees.ROOT, str(SHARED))
    data = tasks.parse("mnist").load()
    assert data.digest() == "78b43a637d27"
    assert tuple(map(len, data)) == (55_000, 5_000, 10_000)


@real
def test_the_jpeg_pack_cannot_pass_for_cifar10(tmp_path, monkeypatch):
    (tmp_path / "cifar10").symlink_to(SHARED / "cifar10_jpeg_q75")
    monkeypatch.setenv(trees.ROOT, str(tmp_path))
    assert "is a JPEG" in refused("cifar10")
    assert "CIFAR-10 (JPEG q75)" in tasks.parse("cifar10_jpeg_q75").source
