"""Splits of a user's own data, by names or by content; scores of classes of unequal size; recorded paths."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score

import tasks
from bench.contract import Data, Split
from tasks.own import scores, splits
from tests.tasks import own_trees


def blame(where, what):
    return ValueError(f"{where}: {what}")


def test_a_part_has_the_names_that_datasets_reads():
    from datasets.data_files import SPLIT_KEYWORDS

    assert {str(part): tuple(sorted(names)) for part, names in SPLIT_KEYWORDS.items()} == {
        part: tuple(sorted(names)) for part, names in splits.PARTS.items()
    }
    assert splits.part_of("Val") == "validation"
    assert splits.part_of("cats") is None


def test_no_example_moves_when_others_are_added_and_equal_ones_stay_together():
    marks = [splits.mark([str(i % 150).encode()]) for i in range(200)]
    few = splits.assign(["train"] * 100, marks[:100], blame)
    many = splits.assign(["train"] * 200, marks, blame)
    for before, after in zip(few, many, strict=True):
        assert set(before) == {i for i in after if i < 100}
    assert sorted(np.concatenate(many)) == list(range(200))
    home = {i: n for n, index in enumerate(many) for i in index}
    assert all(home[i] == home[i + 150] for i in range(50))


def test_shares_are_as_stated():
    marks = [splits.mark([str(i).encode()]) for i in range(4000)]
    sizes = [len(index) / 4000 for index in splits.assign(["train"] * 4000, marks, blame)]
    assert sizes == pytest.approx([0.70, 0.15, 0.15], abs=0.02)


def test_a_mark_is_of_the_pieces_and_not_of_their_concatenation():
    assert splits.mark([b"ab", b"c"]) != splits.mark([b"a", b"bc"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"train", "validation", "test"}, "own own own"),
        ({"train", "test"}, "train train own"),
        ({"train", "validation"}, "train train validation"),
    ],
)
def test_own_parts_are_kept_and_what_is_missing_is_held_out_of_train(given, expected):
    parts = [sorted(given)[i % len(given)] for i in range(300)]
    marks = [splits.mark([str(i).encode()]) for i in range(300)]
    chosen = splits.assign(parts, marks, blame)
    sources = [{parts[i] for i in index} for index in chosen]
    usual = ("train", "validation", "test")
    assert sources == [{usual[n] if of == "own" else of} for n, of in enumerate(expected.split())]
    assert sorted(np.concatenate(chosen)) == list(range(300))
    if "validation" not in given:
        shares = [int.from_bytes(marks[i][:8], "big") / 2**64 for i in chosen[1]]
        assert all(0.15 <= share < 0.30 for share in shares)


def test_scores_of_unequal_classes_are_those_of_scikit_learn():
    draw = np.random.default_rng(3)
    labels = draw.choice(4, 200, p=[0.7, 0.2, 0.08, 0.02])
    logits = torch.from_numpy(draw.standard_normal((200, 4)) + 2 * np.eye(4)[labels])
    own = scores.score(logits, (torch.from_numpy(labels),))
    answers = logits.argmax(1).numpy()
    assert own["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, answers), abs=1e-15)
    assert own["macro_f1"] == pytest.approx(f1_score(labels, answers, average="macro"), abs=1e-15)
    assert own["accuracy"] == np.mean(labels == answers)


def test_the_majority_is_named_and_scores_what_it_would():
    truth = np.array([0, 1, 1, 1])
    one = Split((truth,), (truth,))
    data = Data(one, one, Split((truth,), (np.array([0, 0, 1, 1]),)))
    read = lambda: splits.Labelled(data, ("ant", "bee"))  # noqa: E731
    name, value = scores.majority("balanced_accuracy", read, data)
    assert (name, value) == ("the majority class, bee (75% of train)", 0.5)
    assert scores.majority("accuracy", read, data).value == 0.5


# ---------------------------------------------------------------------------------- recorded paths


def test_a_path_is_found_again_from_any_folder(tmp_path, monkeypatch):
    own_trees.write(tmp_path / "mine" / "texts.csv", own_trees.sentences())
    monkeypatch.delenv(own_trees.ROOT, raising=False)
    monkeypatch.chdir(tmp_path / "mine")
    task = tasks.parse("texts('./texts.csv')")
    assert task.name == f"texts({str(tmp_path / 'mine' / 'texts.csv')!r})"
    digest = task.load().digest()
    monkeypatch.chdir("/")
    assert tasks.parse(task.name).name == task.name
    assert tasks.parse(task.name).load().digest() == digest
    monkeypatch.setenv(own_trees.ROOT, str(tmp_path / "mine"))
    short = tasks.parse("texts('texts.csv')")
    assert short.name == "texts('texts.csv')"
    assert short.load().digest() == digest


def test_changed_data_have_another_digest_and_a_name_of_a_class_counts(tmp_path, monkeypatch):
    own_trees.expect(monkeypatch, tmp_path)
    digests = set()
    for name, rows in {
        "one": own_trees.sentences(),
        "more": own_trees.sentences(210),
        "renamed": [row | {"label": row["label"] + "!"} for row in own_trees.sentences()],
    }.items():
        own_trees.write(tmp_path / f"{name}.csv", rows)
        digests.add(tasks.parse(f"texts('{name}.csv')").load().digest())
    assert len(digests) == 3


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_of_a_table_is_the_same_data(tmp_path, monkeypatch, kind):
    import pyarrow
    from pyarrow import parquet

    own_trees.expect(monkeypatch, tmp_path)
    rows = own_trees.numbers(80)
    own_trees.write(tmp_path / "one.csv", rows)
    file = tmp_path / f"other.{kind}"
    if kind == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    elif kind in ("csv", "tsv"):
        text = (tmp_path / "one.csv").read_text()
        file.write_bytes(b"\xef\xbb\xbf" + text.replace(",", "\t" if kind == "tsv" else ";").encode())
    else:
        lines = [json.dumps(row) for row in rows]
        file.write_text("[" + ",".join(lines) + "]" if kind == "json" else "\n".join(lines))
    one, other = (tasks.parse(f"table('{name}', columns=['a', 'b', 'colour'])") for name in ("one.csv", file.name))
    assert one.load().digest() == other.load().digest()
    assert one.metric == other.metric == "balanced_accuracy"
