"""Tiny data sets in the true layouts of their publishers, and records of them that expect their sizes."""

import gzip
import hashlib
import io
import json
import pickle
from dataclasses import replace

import datasets
import numpy as np
import torchvision
from PIL import Image

from tasks.data.dataset import ROOT
from tasks.data.registry import PACKS
from tasks.image import images as pixels
from tasks.text.glue import KINDS

ROWS = {"train": 300, "test": 100}
CONTROL = 100
NAMES = ("mnist", "fashion_mnist", "cifar10", "cifar10_jpeg_q75", "cifar100", "glue")


def expect(monkeypatch, root, *names, rows=ROWS, **changes):
    """Look for these sets under `root`, in their tiny sizes and without their true digests."""
    monkeypatch.setenv(ROOT, str(root))
    monkeypatch.setattr(pixels, "CONTROL", CONTROL)
    for name in names or NAMES:
        monkeypatch.setitem(PACKS, name, replace(PACKS[name], rows=rows, **({"sums": {}} | changes)))


def examples(part, shape, classes=10, rows=ROWS):
    """Images [n, *shape] whose brightness and pattern tell the label, under noise, and labels."""
    n = rows[part]
    draw = np.random.default_rng([n, *shape])
    labels = np.arange(n) % classes
    light = (labels * 75 // classes).reshape(-1, *[1] * len(shape))
    pattern = np.random.default_rng(classes).integers(0, 100, (classes, *shape))[labels]
    return (light + pattern + draw.integers(0, 75, (n, *shape))).astype(np.uint8), labels.astype(np.int64)


def idx(path, array, packed=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()
    if packed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, 1))
    else:
        path.write_bytes(content)


def plant_idx(root, folder="mnist/MNIST", packed=True):
    for part, name in (("train", "train"), ("test", "t10k")):
        images, labels = examples(part, (28, 28))
        idx(root / folder / "raw" / f"{name}-images-idx3-ubyte", images, packed)
        idx(root / folder / "raw" / f"{name}-labels-idx1-ubyte", labels, packed)


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return {"bytes": file.getvalue(), "path": None}


def table(images, labels, names=("img", "label"), kind="PNG"):
    features = datasets.Features({names[0]: datasets.Image(), names[1]: datasets.Value("int64")})
    columns = {names[0]: [encoded(i, kind) for i in images], names[1]: labels.tolist()}
    return datasets.Dataset.from_dict(columns, features=features)


def plant_table(root, folder, shape, classes=10, names=("img", "label"), kind="PNG", shards=1):
    for part in ROWS:
        whole = table(*examples(part, shape, classes), names, kind)
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(shards):
            name = f"{part}-{i:05}-of-{shards:05}.parquet" if shards > 1 else f"{part}.parquet"
            whole.shard(shards, i, contiguous=True).to_parquet(root / folder / name)


def plant_batches(root, monkeypatch, classes=10):
    """The python batches of CIFAR-10 in three files, or of CIFAR-100 in one, with torchvision told their MD5.

    Returns the last file of the train part.
    """
    dataset = getattr(torchvision.datasets, f"CIFAR{classes}")
    fine = classes == 100
    lists = {"train": [], "test": []}
    folder = root / f"cifar{classes}" / dataset.base_folder
    folder.mkdir(parents=True)
    for part, digests in lists.items():
        images, labels = examples(part, (3, 32, 32), classes)
        names = [part] if fine else [f"data_batch_{i + 1}" for i in range(3)] if part == "train" else ["test_batch"]
        for name, own_pixels, own in zip(names, *(np.split(a, len(names)) for a in (images, labels)), strict=True):
            extra = {"fine_labels": own.tolist(), "coarse_labels": [0] * len(own)} if fine else {"labels": own.tolist()}
            content = pickle.dumps({"data": own_pixels.reshape(-1, 3072)} | extra)
            (folder / name).write_bytes(content)
            digests.append([name, hashlib.md5(content).hexdigest()])
    meta = pickle.dumps({dataset.meta["key"]: [str(k) for k in range(classes)]})
    (folder / dataset.meta["filename"]).write_bytes(meta)
    monkeypatch.setattr(dataset, "train_list", lists["train"])
    monkeypatch.setattr(dataset, "test_list", lists["test"])
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"md5": hashlib.md5(meta).hexdigest()})
    return folder / lists["train"][-1][0]


def plant_folders(root, classes=2, each=(30, 10)):
    """ImageNet's folders of classes, with JPEG images of several sizes."""
    for part, n in zip(("train", "val"), each, strict=True):
        for label in range(classes):
            folder = root / "imagenet" / part / f"n{label:08}"
            folder.mkdir(parents=True)
            for i in range(n):
                draw = np.random.default_rng([label, i, n])
                pixels = draw.integers(0, 100, (40 + i, 60, 3)) + 100 * label
                (folder / f"{i}.JPEG").write_bytes(encoded(pixels.astype(np.uint8), "JPEG")["bytes"])


def sentences(part, classes, columns):
    """Texts whose words tell the label, each another one, and labels; of one class scores from 0 to 5."""
    n = {"train": 300}.get(part, 100)
    labels = np.arange(n) % (classes if classes > 1 else 6)
    texts = [[f"{part} {c} says W{labels[i]}, {'so ' * (i % 23)}{i}." for i in range(n)] for c in columns]
    return dict(zip(columns, texts, strict=True)) | {"label": labels if classes > 1 else labels.astype(np.float32)}


def plant_glue(root, task="sst2", shards=1, **changed):
    """A task of GLUE in the hub's layout; columns of its train part may be changed."""
    form = KINDS[task].form
    for part in dict.fromkeys(("train", *form.test, form.control or "train")):
        whole = datasets.Dataset.from_dict(
            sentences(part, form.classes, form.columns) | (changed if part == "train" else {})
        )
        (root / "glue" / task).mkdir(parents=True, exist_ok=True)
        for i in range(shards):
            name = f"{part}-{i:05}-of-{shards:05}.parquet" if shards > 1 else f"{part}.parquet"
            whole.shard(shards, i, contiguous=True).to_parquet(root / "glue" / task / name)


def plant(root, name):
    """A set in one of its layouts."""
    if name == "glue":
        plant_glue(root)
    elif name == "mnist":
        plant_idx(root)
    elif name == "fashion_mnist":
        plant_idx(root, "FashionMNIST", packed=False)
    elif name == "cifar100":
        plant_table(root, "cifar100/cifar100", (32, 32, 3), 100, ("img", "fine_label"), shards=2)
    else:
        plant_table(root, name, (32, 32, 3), kind="JPEG" if "jpeg" in name else "PNG")


def plant_boxes(root, each=(("train", 20), ("val", 4), ("test", 4))):
    """Annotated images in COCO's format, three parts next to one folder: grey, with a bright patch in every box."""
    (root / "images").mkdir(parents=True)
    for part, n in each:
        draw = np.random.default_rng([n, len(part)])
        images, annotations = [], []
        for i in range(n):
            width, height = 40 + 10 * (i % 3), 60
            pixels = draw.integers(40, 90, (height, width, 3)).astype(np.uint8)
            name = f"{part}_{i:02}.{'jpg' if part == 'val' else 'png'}"
            images.append({"id": 10 * i + 5, "file_name": name, "width": width, "height": height})
            for left, top in ((2.5, 4), (20, 30))[: i % 3]:
                annotations.append({"id": 100 + len(annotations), "image_id": 10 * i + 5, "iscrowd": 0})
                annotations[-1] |= {"category_id": 7 if i % 2 else 3, "bbox": [left, top, 15, 20]}
                pixels[top : top + 20, int(left) : int(left) + 15] = 230
            Image.fromarray(pixels).save(root / "images" / name)
        annotations[-1]["iscrowd"] = 1
        content = {"images": images, "annotations": annotations}
        content["categories"] = [{"id": 7, "name": "long"}, {"id": 3, "name": "round"}]
        (root / f"instances_{part}.json").write_text(json.dumps(content))


def as_coco(flat, root):
    """The parts train and val of `plant_boxes` in COCO's own layout."""
    (root / "annotations").mkdir(parents=True)
    for part in ("train", "val"):
        content = (flat / f"instances_{part}.json").read_bytes()
        (root / "annotations" / f"instances_{part}2017.json").write_bytes(content)
        (root / f"{part}2017").mkdir()
        for file in (flat / "images").glob(f"{part}_*"):
            (root / f"{part}2017" / file.name).write_bytes(file.read_bytes())
