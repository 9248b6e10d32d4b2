"""Sentences of GLUE as rows of piece ids: read in the hub's layout, checked, split, and cut by a tokenizer.

N = examples, L = pieces of the longest row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from bench.contract import Array, Data, InputError, Split
from schedules.user_code import blamed
from tasks.data import checkpoint, labels
from tasks.data.dataset import Pack, root
from tasks.data.embedded import stratified
from tasks.data.registry import PACKS

if TYPE_CHECKING:
    from datasets import Dataset

PIECES = 8192
"""Size of the small model's vocabulary, including the four marks."""

LONGEST = {"small": 64, "checkpoint": 128}
"""Most pieces of a row; longer rows are cut at the end, of a pair the longer text first."""

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SHARE, MOST = 10, 2000
"""One in SHARE training examples is control, but no more than MOST."""

Rows: TypeAlias = "list[tuple[str, ...]]"  # the one or two texts of each example


class Form(NamedTuple):
    """Columns, labels and parts of a task's tables."""

    names: tuple[str, ...]  # of the labels, in the published order; empty: regression
    columns: tuple[str, ...]
    test: tuple[str, ...] = ("validation",)  # official parts that make the test split
    control: str = ""  # official part that is the control split; else it is held out of train

    @property
    def classes(self) -> int:
        """Number of a model's outputs."""
        return max(1, len(self.names))


def load(task: str, form: Form, model: str) -> Data:
    """Piece ids [N, L] int64, kinds of pieces [N, L] uint8 (0 padding, 1 first text, 2 second), and labels [N].

    With several test parts, a second target is the index of an example's part.

    Raises:
        InputError: the data or the tokenizer are missing or invalid.
    """
    return _loaded(task, form, model, root())


@cache
def _loaded(task: str, form: Form, model: str, _root: str) -> Data:
    train, truth = _part(task, form, "train")
    if form.control:
        control, control_truth = _part(task, form, form.control)
    else:
        train_rows, control_rows = _held_out(task, train, truth, form.classes)
        control, control_truth = [train[i] for i in control_rows], truth[control_rows]
        train, truth = [train[i] for i in train_rows], truth[train_rows]
    tests = [_part(task, form, part) for part in form.test]
    test = [row for rows, _ in tests for row in rows]
    targets = truth, control_truth, np.concatenate([values for _, values in tests])
    inputs = encoded([train, control, test], model)
    splits = [Split(arrays, (values,)) for arrays, values in zip(inputs, targets, strict=True)]
    if len(tests) > 1:
        part_index = np.repeat(np.arange(len(tests)), [len(values) for _, values in tests])
        parts = np.zeros(len(truth), np.int64), np.zeros(len(control_truth), np.int64), part_index
        splits = [Split(s.inputs, (*s.target, part)) for s, part in zip(splits, parts, strict=True)]
    return Data(*splits)


def _held_out(task: str, rows: Rows, truth: Array, classes: int) -> tuple[Array, Array]:
    """Row indices (train, control), stratified by label; texts that occur twice stay in train."""
    times = Counter(rows)
    alone = np.array([i for i, row in enumerate(rows) if times[row] == 1], np.int64)
    size = min(MOST, len(rows) // SHARE)
    if not 0 < size <= len(alone):
        reason = f"has {len(alone):,} texts that are there once, of which {max(1, size):,} are to be control"
        raise PACKS["glue"].wrong(f"{task}'s train part", reason)
    kinds = truth[alone] if classes > 1 else np.zeros(len(alone), np.int64)
    (picks,) = stratified(kinds, (size,), seed=len(rows))
    control = alone[picks]
    return np.setdiff1d(np.arange(len(rows)), control), control


# ------------------------------------------------------------------------------------------------------- tables


def _part(task: str, form: Form, part: str) -> tuple[Rows, Array]:
    """Texts and labels of an official part, checked."""
    pack = PACKS["glue"]
    table, name = pack.table(part, task), f"{task}'s {part} part"
    if missing := {*form.columns, "label"} - set(table.features):
        raise pack.wrong(name, f"has no column {', '.join(sorted(missing))}, but {', '.join(table.features)}")
    expected = pack.rows.get(f"{task}/{part}")
    if not len(table) or (expected is not None and len(table) != expected):
        raise pack.wrong(name, f"has {len(table):,} rows, not {expected:,}" if expected else "has no rows")
    texts = texts_of(pack, table, form.columns, name)
    if not form.names:
        return texts, _scores(pack, table, name)
    truth = labels.positions(pack, name, table, "label", form.names)
    if absent := [label for i, label in enumerate(form.names) if i not in truth]:
        raise pack.wrong(name, f"has no row of the label {', '.join(absent)}")
    return texts, truth


def texts_of(pack: Pack, table: Dataset, columns: Sequence[str], name: str) -> Rows:
    values = table.with_format(None)[:]
    rows = list(zip(*(values[column] for column in columns), strict=True))
    for i, row in enumerate(rows):
        if not all(isinstance(text, str) for text in row):
            raise pack.wrong(name, f"row {i} has no text")
    return rows


def _scores(pack: Pack, table: Dataset, name: str) -> Array:
    values = table.with_format(None)["label"][:]
    try:
        scores = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        scores = np.full(len(values), np.nan)
    if scores.ndim != 1 or not ((scores >= 0) & (scores <= 5)).all():
        raise pack.wrong(name, "its labels are not scores from 0 to 5")
    return scores.astype(np.float32)


# -------------------------------------------------------------------------------------------------------- pieces

Encoded: TypeAlias = (
    "list[tuple[Sequence[int], Sequence[int]]]"  # of each row: piece ids, and which text each piece is of, from 1
)
Cut: TypeAlias = Callable[[Rows], Encoded]


def encoded(parts: Sequence[Rows], model: str) -> list[tuple[Array, Array]]:
    """Piece ids and kinds of pieces of each part, padded to one length, by a checkpoint's tokenizer or (without) words.

    The words are those of the first part, train.
    """
    cut = _checkpoint_cut(model) if model else _word_cut(parts[0])
    rows = [cut(part) for part in parts]
    width = max(len(ids) for part in rows for ids, _ in part)
    return [_padded(part, width) for part in rows]


def _padded(rows: Encoded, width: int) -> tuple[Array, Array]:
    ids, kinds = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.uint8)
    for i, (pieces, segments) in enumerate(rows):
        ids[i, : len(pieces)], kinds[i, : len(segments)] = pieces, segments
    return ids, kinds


def words(text: str) -> list[str]:
    """Lower-case words, and marks of punctuation one by one."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _word_cut(train: Rows) -> Cut:
    """A tokenizer of the most frequent words of the train split, ties in alphabetical order."""
    times = Counter(word for row in train for text in row for word in words(text))
    usual = sorted(times, key=lambda word: (-times[word], word))[: PIECES - len(MARKS)]
    number = {piece: i for i, piece in enumerate((*MARKS, *usual))}
    _, unknown, first, last = range(len(MARKS))

    def cut(rows: Rows) -> Encoded:
        encoded: Encoded = []
        for row in rows:
            texts = [[number.get(word, unknown) for word in words(text)] for text in row]
            while sum(map(len, texts)) > LONGEST["small"] - 1 - len(texts):
                max(texts, key=len).pop()
            kinds = [1] * (len(texts[0]) + 2) + ([2] * (len(texts[1]) + 1) if len(texts) > 1 else [])
            encoded.append(([first, *(piece for text in texts for piece in (*text, last))], kinds))
        return encoded

    return cut


def _checkpoint_cut(model: str) -> Cut:
    """The tokenizer of a checkpoint."""
    from transformers import AutoTokenizer

    from tasks.text import encoder

    place, fetch = checkpoint.find(model)
    checkpoint.quiet()
    try:
        with blamed(f"{model}: it has no tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=not fetch)
    except InputError:
        if find_spec("sentencepiece") or not any(checkpoint.directory(model).glob("*.model")):
            raise
        hint = "which is not installed: pip install sentencepiece protobuf"
        raise InputError(f"{model}: its tokenizer needs sentencepiece, {hint}") from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise InputError(f"{model}: its tokenizer knows no pieces of words: give the file that lists them")

    def cut(rows: Rows) -> Encoded:
        columns = [list(column) for column in zip(*rows, strict=True)]
        output = tokenizer(*columns, truncation=True, max_length=LONGEST["checkpoint"])
        ids = output["input_ids"]
        segments = output.get("token_type_ids") or [[0] * len(row) for row in ids]  # of models without segments
        return [(row, [1 + text for text in texts]) for row, texts in zip(ids, segments, strict=True)]

    usual = set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)
    return _within(model, cut, max(usual), *encoder.room(place, fetch=fetch))


def _within(model: str, encode: Cut, highest: int, pieces: int, places: float) -> Cut:
    """The same tokenizer with a check that the model has room for all its pieces and rows.

    Raises:
        InputError: the tokenizer has more pieces than the model.
    """
    if highest >= pieces:
        reason = f"its tokenizer has {highest + 1:,} pieces, and its {checkpoint.CONFIG} {pieces:,}"
        raise InputError(f"{model}: {reason}: the tokenizer is another model's")

    def cut(rows: Rows) -> Encoded:
        encoded = encode(rows)
        for row, (ids, _) in zip(rows, encoded, strict=True):
            if len(ids) > places:
                most = f"has places for {places:,} pieces of a row, and some rows have {len(ids):,}"
                raise InputError(f"{model}: {most}; give a model that has {LONGEST['checkpoint']} of them")
            if max(ids, default=0) >= pieces:
                raise InputError(f"{model}: its tokenizer makes piece {max(ids)} of {row[0]!r:.60}, of {pieces:,}")
        return encoded

    return cut
