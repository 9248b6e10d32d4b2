"""A user's own images, recordings, texts and tables: read as by the builders of `datasets`, or refused in one line."""

import shutil

import datasets
import numpy as np
import pytest
import soundfile
from PIL import Image, ImageOps

import tasks
from bench.contract import InputError, Split, Stream
from bench.engine import dry_run
from tasks.own import imagefolder
from tests.tasks import own_trees
from tests.tasks.own_trees import numbers, sentences, write


@pytest.fixture
def root(tmp_path, monkeypatch):
    own_trees.expect(monkeypatch, tmp_path)
    return tmp_path


def everything(task):
    """(input, label) of all splits, the inputs as bytes."""
    return sorted(
        (x.tobytes(), int(y)) for split in task.load() for x, y in zip(split.inputs[0], split.target[0], strict=True)
    )


def test_images_and_labels_are_those_of_the_builder(root):
    own_trees.plant_images(root / "pets")
    built = datasets.load_dataset("imagefolder", data_dir=str(root / "pets"), split="train")
    assert built.features["label"].names == list(own_trees.CLASSES)
    task = tasks.parse("imagefolder('pets', size=16)")

    expected = [
        (
            np.asarray(ImageOps.fit(row["image"], (16, 16), Image.Resampling.BILINEAR)).transpose(2, 0, 1).tobytes(),
            row["label"],
        )
        for row in built
    ]
    assert everything(task) == sorted(expected)


def test_parts_are_those_of_the_builder(root):
    for key, part in enumerate(("train", "val", "test")):
        own_trees.plant_images(root / "pets" / part, {"ants": 7 - key, "bees": 5}, key)
    built = datasets.load_dataset("imagefolder", data_dir=str(root / "pets"))
    data = tasks.parse("imagefolder('pets', size=16, batch_size=4)").load()
    assert (
        [len(split) for split in data] == [len(built[part]) for part in ("train", "validation", "test")] == [12, 11, 10]
    )


def test_what_is_streamed_is_what_would_be_held(root, monkeypatch):
    own_trees.plant_images(root / "pets")
    task = tasks.parse("imagefolder('pets', size=16)")
    whole = task.load()
    imagefolder._loaded.cache_clear()
    monkeypatch.setattr(imagefolder, "MOST", 0)
    streamed = task.load()
    for split, twin in zip(whole, streamed, strict=True):
        assert isinstance(split, Split)
        assert isinstance(twin, Stream)
        assert np.array_equal(split.target[0], twin.target[0])
        (image,), (label,) = twin.read(1, None)
        assert np.array_equal(image, split.inputs[0][1])
        assert label == split.target[0][1]
    (one,), _ = streamed.train.read(1, 5)
    (same,), _ = streamed.train.read(1, 5)
    (other,), _ = streamed.train.read(1, 6)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_clips_have_the_length_of_the_longest_or_the_one_that_is_given(root):
    own_trees.plant_sounds(root / "calls", {"low": 20, "high": 20})
    assert tasks.parse("audiofolder('calls')").load().train.inputs[0].shape[1] == 1190
    assert tasks.parse("audiofolder('calls', seconds=0.125)").load().train.inputs[0].shape[1] == 1000


def test_the_kind_of_a_table_follows_from_its_target_and_is_recorded(root):
    rows = numbers(60)
    write(root / "t.csv", rows)
    assert tasks.parse("table('t.csv')").name == "table('t.csv', kind='classification')"
    number = tasks.parse("table('t.csv', target='y')")
    assert (number.metric, number.direction) == ("mse", "min")
    assert number.name == "table('t.csv', target='y', kind='regression')"
    assert tasks.parse("table('t.csv', target='colour')").metric == "balanced_accuracy"
    assert tasks.parse("table('t.csv', kind='regression')").metric == "mse"
    assert tasks.parse("table('t.csv', metric='macro_f1')").metric == "macro_f1"


def test_numbers_are_standardised_by_the_train_split_and_texts_are_one_hot(root):
    write(root / "t.csv", numbers(200))
    data = tasks.parse("table('t.csv', target='y', columns=['a', 'b', 'colour'])").load()
    train = data.train.inputs[0]
    assert train.shape[1] == 2 + 3
    np.testing.assert_allclose(train[:, :2].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(train[:, :2].std(0), 1, atol=1e-6)
    np.testing.assert_allclose(data.train.target[0].std(), 1, atol=1e-6)
    for split in data:
        assert set(np.unique(split.inputs[0][:, 2:])) == {0, 1}
        assert (split.inputs[0][:, 2:].sum(1) == 1).all()
    by_hand = {(round(r["a"], 4), r["colour"]) for r in numbers(200)}
    raw = np.array(sorted(a for a, _ in by_hand))
    assert len(raw) == sum(map(len, data))


def test_a_column_can_name_the_parts(root):
    rows = [row | {"fold": ("train", "dev", "test", "train")[i % 4]} for i, row in enumerate(sentences(80))]
    write(root / "t.csv", rows)
    assert [len(split) for split in tasks.parse("texts('t.csv', split='fold')").load()] == [40, 20, 20]


def test_two_columns_make_pairs(root):
    rows = [row | {"other": row["text"][::-1]} for row in sentences(60)]
    write(root / "t.csv", rows)
    kinds = tasks.parse("texts('t.csv', text=['text', 'other'])").load().train.inputs[1]
    assert {1, 2} <= set(np.unique(kinds))


def test_the_hub_is_asked_only_when_told_to(monkeypatch):
    requests = []

    def fetch(path, name=None, split=None):
        requests.append((path, name, split))
        column = datasets.ClassLabel(names=["good", "bad"])
        table = datasets.Dataset.from_list(sentences(100, key=split == "test"))
        return table.cast_column("label", column)

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda path, name: ["train", "test", "unsupervised"])
    task = tasks.parse("hub('org/films', config='short')")
    assert tasks.parse(task.name).name == task.name == "hub('org/films', config='short')"
    monkeypatch.delenv(own_trees.ROOT, raising=False)
    with pytest.raises(InputError, match="org/films: nothing is downloaded unless you ask: give --data hub"):
        task.load()
    assert not requests
    own_trees.expect(monkeypatch, "hub")
    data = task.load()
    assert requests == [("org/films", "short", "train"), ("org/films", "short", "test")]
    assert len(data.test) == 100
    assert task.baseline(data).name.startswith("the majority class, good")


def test_a_cache_that_cannot_be_written_is_not_blamed_on_the_file(root, monkeypatch):
    write(root / "t.csv", sentences())
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", root / "t.csv" / "cache")
    with pytest.raises(InputError, match=r"t\.csv: `datasets` cannot write its cache, .*; set HF_HOME"):
        tasks.parse("texts('t.csv')").load()


def test_a_margin_can_be_given_and_has_a_reason(root):
    assert tasks.parse("table('x.csv')").margin == (0.01, "one hundredth, the default for data of one's own")
    assert tasks.parse("table('x.csv', margin=0.02)").margin.value == 0.02


# -------------------------------------------------------------------------------------- what is refused


def changed(rows, *, row=7, **values):
    return [entry | values if i == row else entry for i, entry in enumerate(rows)]


def saved(rows):
    return lambda root: write(root / "t.csv", rows)


def cut(file):
    datasets.Dataset.from_list(sentences()).to_parquet(file)
    file.write_bytes(file.read_bytes()[:-40] + bytes(36) + b"PAR1")


def text_file(root, content):
    (root / "t.csv").write_text(content)


def stereo(root):
    own_trees.plant_sounds(root / "d")
    soundfile.write(root / "d/ants/00.wav", np.zeros((900, 2), np.int16), 8000)


def spoilt(root, name, content):
    plant = own_trees.plant_sounds if name.endswith(".wav") else own_trees.plant_images
    plant(root / "d")
    (root / "d" / name).write_bytes(content)


def two_parts(root, again):
    """Images in two parts; `again` is a file of train that is in test, too."""
    for key, part in enumerate(("train", "test")):
        own_trees.plant_images(root / "d" / part, {"ants": 20, "bees": 20}, key)
    shutil.copy(root / "d/train" / again, root / "d/test/ants/again.png")


def mixed_rates(root):
    own_trees.plant_sounds(root / "d")
    own_trees.plant_sounds(root / "d", {"bees": 1}, rate=16000)


def stray(root):
    own_trees.plant_images(root / "d")
    shutil.copy(root / "d/ants/00.png", root / "d/00.png")


def folded(row, i):
    return row | ({"fold": "test", "target": 9} if i == 7 else {"fold": ("train", "test")[i % 2]})


def no_split(root):
    own_trees.plant_images(root / "d", {"ants": 2, "bees": 1})


TEXTS, TABLE, IMAGES, SOUNDS = "texts('t.csv')", "table('t.csv')", "imagefolder('d')", "audiofolder('d')"

REFUSED = {
    "no folder": (IMAGES, lambda root: None, "there is no folder d"),
    "misspelt": (
        "texts('tx.csv')",
        saved(sentences()),
        r"no file tx\.csv \(did you mean t",
    ),
    "empty folder": (IMAGES, lambda root: (root / "d").mkdir(), "has no folder of a class"),
    "empty class": (
        IMAGES,
        lambda root: [own_trees.plant_images(root / "d"), (root / "d/moths").mkdir()],
        "moths: is a class's folder without an example",
    ),
    "no class": (IMAGES, stray, r"00\.png: lies in no class's folder"),
    "one class": (
        IMAGES,
        lambda root: own_trees.plant_images(root / "d", {"ants": 40}),
        "are all ants: .* two classes",
    ),
    "too few": (IMAGES, no_split, "its (control|test) split: has none of its 3 examples"),
    "unreadable image": (IMAGES, lambda root: spoilt(root, "ants/00.png", b"x"), r"00\.png: holds no whole image"),
    "twice": (
        IMAGES,
        lambda root: two_parts(root, "ants/00.png"),
        "its test part: holds 1 of the examples of its train part",
    ),
    "class of one part": (
        IMAGES,
        lambda root: [two_parts(root, "ants/00.png"), shutil.rmtree(root / "d/train/bees")],
        "has the classes ants, bees, not those of train: bees in test alone",
    ),
    "unreadable recording": (
        SOUNDS,
        lambda root: spoilt(root, "ants/00.wav", b"x"),
        r"00\.wav: holds no whole recording",
    ),
    "another kind": (SOUNDS, lambda root: spoilt(root, "ants/00.mp3", b"x") or None, r"00\.mp3: is of no kind"),
    "mixed rates": (SOUNDS, mixed_rates, r"bees/00\.wav: is a recording of 16000 Hz, .* not of 8000 Hz"),
    "stereo": (SOUNDS, stereo, r"d/ants/0\d\.wav: is a recording of .* channel"),
    "missing column": (
        "texts('t.csv', text='body')",
        saved(sentences()),
        r"no column 'body'.*, but id, text, label",
    ),
    "no label": (
        TEXTS,
        saved(changed(sentences(), label="NaN")),
        r"t\.csv: row 7 has no label in label",
    ),
    "label of a fraction": (
        TEXTS,
        saved([row | {"label": i / 2} for i, row in enumerate(sentences())]),
        r"row 1 has 0\.5 in label: a class has a name or a whole number",
    ),
    "texts of numbers": (
        "texts('t.csv', text='id')",
        saved(sentences()),
        "its column id: holds numbers, not texts",
    ),
    "no text": (TEXTS, saved(changed(sentences(), text=" ")), "row 7 has no text in text"),
    "ragged": (
        TEXTS,
        lambda root: text_file(root, "text,label\na,b\nc,d,e\n"),
        "line 3 has 3 fields, and the first has 2",
    ),
    "no rows": (TEXTS, lambda root: text_file(root, "text,label\n"), "has no rows"),
    "no UTF-8": (TEXTS, lambda root: (root / "t.csv").write_bytes(b"text,label\n\xff\xfe,b\n"), "is no table in UTF-8"),
    "cut short": ("texts('t.parquet')", lambda root: cut(root / "t.parquet"), r"t\.parquet: is no table of parquet"),
    "unknown part": (
        "texts('t.csv', split='label')",
        saved(sentences()),
        "row 0 is of the part 'bad'; there are train, validation and test",
    ),
    "fewer rows than a batch": (
        "table('t.csv', batch_size=256)",
        saved(numbers()),
        r"a batch of 256 is more than the 2\d\d training examples",
    ),
    "constant target": (
        "table('t.csv', kind='regression')",
        saved([row | {"target": 5} for row in numbers()]),
        "has one value of target in every row",
    ),
    "one class of a table": (
        TABLE,
        saved([row | {"target": 5} for row in numbers()]),
        "are all 5",
    ),
    "a gap": (
        TABLE,
        saved(changed(numbers(), a="")),
        "row 7 has no value in a: fill the gaps",
    ),
    "infinite": (
        TABLE,
        saved(changed(numbers(), b="inf")),
        "row 7 has 'inf' in b, not a finite",
    ),
    "too many categories": (
        TABLE,
        saved([row | {"colour": f"c{i}"} for i, row in enumerate(numbers())]),
        "its column colour: has 300 different texts, and 20 at most become one-hot",
    ),
    "a class that train lacks": (
        "table('t.csv', split='fold')",
        saved([folded(row, i) for i, row in enumerate(numbers())]),
        "its train split: has no example of the class 9",
    ),
    "only its target": (
        "table('t.csv')",
        saved([{"target": i % 2} for i in range(90)]),
        "has no column besides target",
    ),
    "a picture as a table": (
        "table('t.png')",
        lambda root: (root / "t.png").write_bytes(b""),
        r"is of no kind that is read here: \.csv",
    ),
    "two tables": (
        "texts('d')",
        lambda root: [write(root / "d/train.csv", sentences()), write(root / "d/more.csv", sentences())],
        r"more\.csv: is no part: name the files train, validation and test",
    ),
    "other columns": (
        "texts('d')",
        lambda root: [write(root / "d/train.csv", sentences()), write(root / "d/test.csv", numbers())],
        "the test part: has the columns a, b, colour, target, y, not those of train",
    ),
    "no metric": ("texts('t.csv', metric='auc')", lambda root: None, "unknown metric of texts 'auc'"),
    "no margin": ("texts('t.csv', margin=-1)", lambda root: None, "margin is the smallest difference worth having"),
    "metric of numbers": (
        "table('t.csv', kind='regression', metric='accuracy')",
        lambda root: None,
        "metric is of classes",
    ),
    "no path": (
        "imagefolder(3)",
        lambda root: None,
        r"give the path of your data as a text, imagefolder\('PATH'\), not 3",
    ),
    "no size": (
        "imagefolder('d', size=0)",
        lambda root: None,
        "size is a side in pixels, a whole number from 8 to 1024",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_one_line_before_training(root, name):
    text, plant, reason = REFUSED[name]
    plant(root)
    with pytest.raises(InputError, match=reason) as refusal:
        dry_run.check(tasks.parse(text))
    assert "\n" not in str(refusal.value)
