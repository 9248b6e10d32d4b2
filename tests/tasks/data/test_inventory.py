"""Files of a set, names of its parts and its images: read right, or refused in one line."""

import gzip
import hashlib
import io
import json
import sys
from functools import partial

import datasets
import numpy as np
import pytest
from PIL import Image

import tasks
from bench.contract import InputError
from tasks.data import checksums, inventory, picture
from tasks.data.registry import PACKS
from tasks.detection import annotations as loader
from tasks.image import images
from tests.tasks import trees

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
BLAME = partial(PACKS["imagenet"].wrong, "x")


def refused(load, reason):
    with pytest.raises(InputError, match=reason) as refusal:
        load()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def stored(image, kind="PNG", **settings):
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return io.BytesIO(file.getvalue())


def pixels(image, kind="PNG", **settings):
    return np.asarray(picture.opened(stored(image, kind, **settings), BLAME))


# ------------------------------------------------------------------------------------------------ images


def test_what_is_the_same_in_eight_bits_is_read_as_that():
    expected = np.repeat(GREY[..., None], 3, axis=2)
    grey = Image.fromarray(GREY)
    deep = Image.fromarray(GREY.astype(np.uint16) * 257)
    for image in (grey, grey.convert("RGB"), grey.convert("RGBA"), grey.convert("LA"), grey.convert("P"), deep):
        assert np.array_equal(pixels(image), expected), image.mode
    assert np.array_equal(pixels(grey.point(lambda v: 255 * (v > 99)).convert("1"))[..., 0], 255 * (GREY > 99))


def test_orientation_is_applied():
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    exif = Image.Exif()
    exif[picture.ORIENTATION] = 6
    turned = pixels(image, exif=exif)
    assert np.array_equal(turned[..., 0], np.rot90(np.asarray(image), -1))


@pytest.mark.parametrize(
    ("image", "kind", "settings", "reason"),
    [
        (Image.fromarray(GREY.astype(np.float32)), "TIFF", {}, "mode F, which does not say what is white"),
        (Image.fromarray(GREY.astype(np.int32)), "TIFF", {}, "mode I, which does not say what is white"),
        (Image.fromarray(GREY.astype(np.uint16)), "TIFF", {}, "mode I;16, which does not say what is white"),
        (Image.new("RGBA", (4, 4), (9, 9, 9, 100)), "PNG", {}, "transparent pixels"),
        (Image.fromarray(GREY).convert("P"), "PNG", {"transparency": 40}, "transparent pixels"),
        (Image.fromarray(GREY.astype(np.uint16)), "PNG", {"transparency": 40}, "transparent pixels"),
        (
            Image.new("L", (4, 4), 1),
            "GIF",
            {"save_all": True, "append_images": [Image.new("L", (4, 4), 200)]},
            "holds 2 pictures",
        ),
    ],
    ids=["F", "I", "I;16", "RGBA", "P", "transparent I;16", "GIF"],
)
def test_what_is_not_exactly_a_picture_is_refused(image, kind, settings, reason):
    refused(lambda: pixels(image, kind, **settings), reason)


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert pixels(Image.new("L", (5, 6))).shape == (6, 5, 3)
    refused(lambda: pixels(Image.fromarray(GREY)), "more than 40 pixels")


# ------------------------------------------------------------------------------------------------ tables


@pytest.fixture
def sharded(tmp_path, monkeypatch):
    trees.plant_table(tmp_path, "cifar10", (32, 32, 3), shards=3)
    trees.expect(monkeypatch, tmp_path)
    return tmp_path / "cifar10"


def load_cifar():
    return images.load("cifar10")


def test_a_missing_shard_is_refused_by_what_names_say(sharded):
    (sharded / "train-00001-of-00003.parquet").unlink()
    refused(load_cifar, r"train-00000-of-00003\.parquet: is one of 3 shards, and number 00001 is missing")


def test_a_part_that_is_there_twice_is_refused(sharded):
    (sharded / "train.parquet").write_bytes((sharded / "train-00001-of-00003.parquet").read_bytes())
    refused(load_cifar, r"is there twice: .*keep the right one")


def test_numbered_files_have_no_gap(tmp_path):
    (tmp_path / "train").mkdir()
    for number in (0, 2):
        (tmp_path / "train" / f"{number:04}.parquet").write_bytes(b"")
    refused(lambda: inventory.shards(tmp_path, "train", PACKS["glue"].wrong), "number 00001 is missing")


def test_hidden_files_are_no_shards(sharded):
    (sharded / "train").mkdir()
    for name in ("._train.parquet", ".DS_Store", "train/._0000.parquet"):
        (sharded / name).write_bytes(b"x")
    assert len(load_cifar().train) == 200


def classes(folder, part, names):
    table = datasets.Dataset.from_parquet(str(folder / f"{part}.parquet"))
    table.cast_column("label", datasets.ClassLabel(names=names)).to_parquet(folder / f"{part}.parquet")


def test_classes_of_tables_agree_by_name_and_order(tmp_path, monkeypatch):
    trees.plant_table(tmp_path, "cifar10", (32, 32, 3))
    trees.expect(monkeypatch, tmp_path)
    names = [f"kind {k}" for k in range(10)]
    classes(tmp_path / "cifar10", "train", names)
    classes(tmp_path / "cifar10", "test", names[::-1])
    refused(load_cifar, r"the test part: has the classes kind 9, .* in another order than train: .*, not kind 0, ")
    classes(tmp_path / "cifar10", "test", names)
    assert len(load_cifar().train) == 200


def test_labels_as_text_are_refused(tmp_path, monkeypatch):
    trees.plant_table(tmp_path, "cifar10", (32, 32, 3))
    trees.expect(monkeypatch, tmp_path)
    file = tmp_path / "cifar10" / "train.parquet"
    table = datasets.Dataset.from_parquet(str(file))
    table.cast_column("label", datasets.Value("string")).to_parquet(file)
    refused(load_cifar, "has '0' in row 0, not a whole number from 0")


def test_an_unwritable_cache_is_not_blamed_on_a_sound_file(tmp_path, monkeypatch):
    trees.plant_table(tmp_path, "cifar10", (32, 32, 3))
    trees.expect(monkeypatch, tmp_path)
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    text = refused(load_cifar, "its files are whole, and `datasets` cannot put them into its cache")
    assert str(cache) in text
    assert "set HF_HOME" in text
    assert "parquet:" not in text


# ------------------------------------------------------------------------------------------------ idx


def test_gzip_that_was_packed_anew_and_flat_files_are_the_same_data(tmp_path, monkeypatch):
    trees.plant_idx(tmp_path, "a/fashion_mnist/FashionMNIST")
    raw, sums = tmp_path / "a/fashion_mnist/FashionMNIST/raw", {}
    places = [tmp_path / "b/fashion_mnist", tmp_path / "c/fashion-mnist", tmp_path / "d"]  # Debian's is the third
    for place in places:
        place.mkdir(parents=True)
    for file in raw.iterdir():
        content = gzip.decompress(file.read_bytes())
        sums[file.name.removesuffix(".gz")] = hashlib.md5(content).hexdigest()
        for place in places:
            (place / file.name).write_bytes(gzip.compress(content, 9, mtime=1))
    digests = []
    for root in "abcd":
        trees.expect(monkeypatch, tmp_path / root, sums=sums)
        images._loaded.cache_clear()
        digests.append(images.load("fashion_mnist").digest())
    assert len(set(digests)) == 1
    trees.expect(monkeypatch, tmp_path / "d", "mnist", sums=dict.fromkeys(sums, "0" * 32))
    refused(lambda: images.load("mnist"), "its MD5 is .*, not 00000000")


def test_fashion_is_known_by_its_content():
    assert not [name for name in PACKS["fashion_mnist"].sums if name.endswith(".gz")]
    assert len(PACKS["fashion_mnist"].sums) == 4


# ------------------------------------------------------------------------------------------------ SHA256SUMS


def test_every_usual_form_of_sums_is_read(tmp_path):
    digest = "ab" * 32
    lines = [f"{digest.upper()}  a b.png", "", "# a note", f"{digest} *./c.png", f"SHA256 (d.png) = {digest}"]
    (tmp_path / "SHA256SUMS").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert checksums.listed(tmp_path) == {tmp_path / name: digest for name in ("a b.png", "c.png", "d.png")}


@pytest.mark.parametrize("line", ["abc  d.png", "ab" * 32, "d.png"])
def test_a_line_of_sums_that_cannot_be_read_is_named(tmp_path, line):
    (tmp_path / "SHA256SUMS").write_text(f"\n{line}\n")
    refused(lambda: checksums.listed(tmp_path), r"SHA256SUMS: line 2: .* is not DIGEST  NAME")


# ------------------------------------------------------------------------------------------------ folders of classes


@pytest.fixture
def folders(tmp_path, monkeypatch):
    trees.plant_folders(tmp_path)
    monkeypatch.setenv(trees.ROOT, str(tmp_path))
    return tmp_path / "imagenet"


def load_folders():
    return tasks.parse("imagenet(classes=2)").load()


def test_classes_of_folders_agree_by_name(folders):
    (folders / "val" / "n00000001").rename(folders / "val" / "N00000001")
    refused(
        load_folders,
        "the val part: has the classes N00000001, n00000000, not those of train: "
        "N00000001 in val alone and n00000001 in train alone",
    )


def test_nested_images_and_other_suffixes_are_counted_and_hidden_files_are_not(folders):
    one = folders / "train" / "n00000000"
    (one / "deeper").mkdir()
    (one / "0.JPEG").rename(one / "deeper" / "0.JPEG")
    (one / "1.JPEG").rename(one / "1.WEBP")
    for name in ("._2.JPEG", ".DS_Store", "Thumbs.db", "notes.txt"):
        (one / name).write_bytes(b"x")
    data = load_folders()
    assert len(data.train) + len(data.control) == 60


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("n00000000/9.heic", r"9\.heic: is of no kind that is read here"),
        ("stray.jpg", r"stray\.jpg: lies in no class's folder"),
    ],
)
def test_an_image_that_would_be_left_out_is_refused(folders, name, reason):
    (folders / "train" / name).write_bytes(b"x")
    refused(load_folders, reason)


def test_what_lies_straight_in_the_folder_of_all_sets_is_of_no_set(folders):
    for part in ("train", "val"):
        (folders / part).rename(folders.parent / part)
    folders.rename(folders.parent / "imagenets")
    refused(load_folders, r"imagenet: no data: put .*no folder imagenet \(did you mean imagenets\?\)")


# ------------------------------------------------------------------------------------------------ COCO


@pytest.fixture
def cells(tmp_path, monkeypatch):
    monkeypatch.setenv(trees.ROOT, str(tmp_path))
    trees.plant_boxes(tmp_path / "cells")
    return tmp_path / "cells"


def load_cells():
    return tasks.parse("coco('cells')").load()


def edit(folder, part, change):
    file = folder / f"instances_{part}.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_the_test_part_of_the_folder_above_is_not_taken(cells):
    part = cells / "instances_test.json"
    part.rename(cells.parent / part.name)
    (cells.parent / "images").symlink_to(cells / "images")
    assert [len(split) for split in load_cells()] == [18, 2, 4]


def test_a_misspelt_folder_is_refused_with_the_nearest_one(cells):
    for path in [*cells.iterdir()]:
        (cells.parent / path.name).symlink_to(path)
    refused(tasks.parse("coco('cels')").load, r"cels: no data: put .*no folder cels \(did you mean cells\?\)")


@pytest.mark.parametrize("folder", ["../cells", "x/../cells", "/cells"])
def test_a_folder_elsewhere_is_not_looked_up_in_the_one_that_data_names(cells, monkeypatch, folder):
    """It is a path, from the working directory: here, of a folder that is not there."""
    (cells.parent / "x").mkdir()
    monkeypatch.setenv(trees.ROOT, str(cells.parent / "x"))
    refused(tasks.parse(f"coco({folder!r})").load, "no data: put .* there is no folder")


FAULTS = {
    "shares": (
        lambda c: c["annotations"][0].update(bbox=[0.1, 0.2, 0.3, 0.4]),
        r"annotation 100 has the box \[0\.1, 0\.2, 0\.3, 0\.4\] .*these are shares; boxes are in pixels",
    ),
    "numbers as text": (
        lambda c: c["annotations"][0].update(bbox=["1", "2", "3", "4"]),
        r"annotation 100 has the box .*, not four numbers",
    ),
    "crowd": (lambda c: c["annotations"][0].update(iscrowd=2), "annotation 100 has iscrowd 2, not 0 or 1"),
    "id as text": (lambda c: c["images"][1].update(id="15"), "image number 1 has the id '15', not a whole number"),
    "id of half": (lambda c: c["images"][1].update(id=15.5), r"image number 1 has the id '15\.5'"),
    "same annotation": (lambda c: c["annotations"][1].update(id=100), "annotations with"),
    "same file": (
        lambda c: c["images"][1].update(file_name=c["images"][0]["file_name"]),
        "image 15 has the file_name '.*', as image 5 has",
    ),
    "same category": (
        lambda c: c["categories"][1].update(name="long"),
        "category 3 has the name 'long', as category 7",
    ),
    "category number": (lambda c: c["categories"][1].update(id=2), "is of category 3, which it does not list"),
    "outside": (lambda c: c["images"][0].update(file_name="../x.png"), r"only files within it are read"),
    "absolute": (lambda c: c["images"][0].update(file_name="/x.png"), r"only files within it are read"),
    "no images": (lambda c: c.update(images=[], annotations=[]), "the val part: has no images"),
    "no boxes": (lambda c: c.update(annotations=[]), "the val part: has no boxes"),
    "same file by another name": (
        lambda c: c["images"][1].update(file_name=f"./{c['images'][0]['file_name']}"),
        "is one file for image 5 and for image 15: it would count twice",
    ),
    "width": (lambda c: c["images"][0].update(width=40.5), r"image 5 has the width 40\.5"),
    "huge width": (lambda c: c["images"][0].update(width=10**400), "image 5 has the width 1000"),
    "huge box": (lambda c: c["annotations"][0].update(bbox=[10**400, 1, 1, 1]), "100 has a box of numbers beyond any"),
    "huge category": (lambda c: c["annotations"][0].update(category_id=10**400), "which it does not list"),
    "huge crowd": (lambda c: c["annotations"][0].update(iscrowd=10**400), "has iscrowd 1000"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_annotations_cannot_mean_is_refused(cells, name):
    change, reason = FAULTS[name]
    edit(cells, "val", change)
    refused(load_cells, reason)


def test_no_boxes_in_train_are_refused(cells):
    edit(cells, "train", lambda c: [a.update(iscrowd=1) for a in c["annotations"]])
    refused(load_cells, "the train part: has no boxes")


def test_categories_of_parts_agree_by_id_and_name(cells):
    def swap(content):
        for category in content["categories"]:
            category["id"] = {7: 8, 3: 2}[category["id"]]
        for annotation in content["annotations"]:
            annotation["category_id"] = {7: 8, 3: 2}[annotation["category_id"]]

    edit(cells, "val", swap)
    refused(load_cells, "the val part: has the classes 2 round, 8 long, not those of train")


def test_the_order_of_categories_in_a_file_means_nothing(cells):
    before = load_cells().digest()
    edit(cells, "val", lambda c: c["categories"].reverse())
    loader._loaded.cache_clear()
    assert load_cells().digest() == before


def test_an_image_in_two_parts_is_refused(cells):
    edit(cells, "val", lambda c: c["images"][0].update(file_name="train_00.png"))
    refused(load_cells, r"train_00\.png: is in the parts train and val")


LINKS = {"link": lambda link, to: link.symlink_to(to), "hard link": lambda link, to: link.hardlink_to(to)}


@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize(
    ("old", "reason"),
    [
        ("train_01.png", r"link\.png: is in the parts train and val: it would be learnt and tested"),
        ("val_01.jpg", "is one file for image 5 and for image 15: it would count twice"),
    ],
)
def test_an_image_by_another_name_is_the_same_image(cells, kind, old, reason):
    (place,) = cells.rglob(old)
    LINKS[kind](place.with_name("link.png"), place)
    edit(cells, "val", lambda c: [i.update(file_name="link.png") for i in c["images"] if i["id"] == 5])
    edit(cells, "val", lambda c: [i.update(file_name="val_01.jpg") for i in c["images"] if i["id"] == 15])
    refused(load_cells, reason)


@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize(("part", "name"), [("train", "n1"), ("train", "n0"), ("val", "n0")])
def test_a_file_in_two_classes_or_parts_or_twice_in_one_is_refused(folders, kind, part, name):
    first = sorted((folders / "train").iterdir())[0]
    (image,) = sorted(first.iterdir())[:1]
    other = sorted((folders / part).iterdir())[int(name[1])]
    LINKS[kind](other / "again.JPEG", image)
    refused(load_folders, "is one file for train/.* and for .*: it would count twice")


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_link_to_the_folder_of_another_class_is_refused(folders, part):
    """Its images would have both labels."""
    first, second = sorted((folders / "train").iterdir())[0], sorted((folders / part).iterdir())[1]
    (second / "more").symlink_to(first)
    refused(load_folders, "is one file for train/.* and for .*: it would count twice")


def test_images_may_lie_elsewhere_by_links(folders):
    """As long as each is there once."""
    before = load_folders().digest()
    (folders / "train").rename(folders.parent / "elsewhere")
    (folders / "train").mkdir()
    for place in sorted((folders.parent / "elsewhere").iterdir()):
        (folders / "train" / place.name).symlink_to(place)
    sys.modules["tasks.image.imagenet"]._loaded.cache_clear()
    assert load_folders().digest() == before


def test_a_part_of_an_unknown_name_is_not_left_aside(cells):
    (cells / "instances_test.json").rename(cells / "instances_testing.json")
    refused(load_cells, r"instances_testing\.json: is no part that is read here")


@pytest.mark.parametrize("annotated", ["shown", "stored"])
def test_boxes_are_of_the_image_as_it_is_shown(cells, annotated):
    content = json.loads((cells / "instances_test.json").read_text())
    file = cells / "images" / content["images"][1]["file_name"]
    with Image.open(file) as image:
        upright = np.asarray(image)
    before = load_cells().test.inputs[0][1]
    exif = Image.Exif()
    exif[picture.ORIENTATION] = 6
    Image.fromarray(np.rot90(upright)).save(file, exif=exif)
    loader._loaded.cache_clear()
    if annotated == "shown":
        assert np.array_equal(load_cells().test.inputs[0][1], before)
    else:
        edit(cells, "test", lambda c: c["images"][1].update(width=60, height=50))
        edit(cells, "test", lambda c: c.update(annotations=c["annotations"][1:]))
        refused(load_cells, "annotated as one of 60x50, which it is before its orientation tag is applied")


def restore(cells, change):
    """Save the first image of the test part, of one channel, in another way; what the loader makes of it then."""
    content = json.loads((cells / "instances_test.json").read_text())
    file = cells / "images" / content["images"][0]["file_name"]
    with Image.open(file) as image:
        grey = np.asarray(image.convert("L"))
    change(file, grey)
    loader._loaded.cache_clear()
    return load_cells().test.inputs[0][0]


def test_grey_of_sixteen_bits_is_the_image_that_it_is_in_eight(cells):
    eight = restore(cells, lambda file, grey: Image.fromarray(grey).save(file))
    sixteen = restore(cells, lambda file, grey: Image.fromarray(grey.astype(np.uint16) * 257).save(file))
    assert eight.max() < 255
    assert np.array_equal(sixteen, eight)


def test_a_bomb_among_the_images_of_a_folder_is_one_line(cells, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    refused(load_cells, r"train_00\.png: has more than 2,000 pixels")


def test_sums_with_a_mark_capitals_and_blank_lines_are_heeded(cells):
    file = cells / "images" / "train_00.png"
    good = hashlib.sha256(file.read_bytes()).hexdigest().upper()
    sums = cells.parent / "SHA256SUMS"
    sums.write_bytes(b"\xef\xbb\xbf" + f"{good} *cells/images/{file.name}\r\n\r\n".encode())
    assert len(load_cells().train) == 20
    loader._loaded.cache_clear()
    sums.write_text(f"{'0' * 64}  cells/images/{file.name}\n\n")
    refused(load_cells, r"train_00\.png: its SHA256 is .*, not 00000000")
