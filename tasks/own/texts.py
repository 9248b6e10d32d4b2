"""Texts of the user's own, in a column or two of a table, and their classes in another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract import Data, InputError, Split, Task
from tasks.data import checkpoint, places
from tasks.data.dataset import root
from tasks.own import rows, scores, splits
from tasks.text import recipe, sentences

if TYPE_CHECKING:
    from torch import nn


def texts(
    file: str = "texts.csv",
    model: str = recipe.SMALL,
    *,
    text: str | Sequence[str] = "text",
    label: str = "label",
    split: str = "",
    scratch: bool = False,
    lora: int = 0,
    metric: str = scores.HEADLINE,
    margin: float = scores.MARGIN,
) -> Task:
    """Texts of a table, classified: `texts('FILE.csv', text='sentence', label='label', model='FOLDER or name')`.

    Splits are files or rows named train, validation and test where there are some, else by a rule on content
    (`tasks/own/splits.py`). Models and settings are those of `glue`.

    Args:
        file: The path of a CSV, TSV, JSON, JSON lines or parquet file, or of a folder of train, validation and test.
        model: `small`, a BERT of 2 layers from scratch; or an encoder of transformers: a folder, one of `models/` in
            the folder of the data, or a name on the hub.
        text: The column of the texts, or two for pairs: text=['question', 'answer'].
        label: The column of the classes: names or whole numbers.
        split: The column that says which part a row is of.
        scratch: Take only the configuration and the tokenizer of the checkpoint.
        lora: Rank of low-rank adapters to train, with the head, instead of all weights (the extra `lora`); 0: none.
        metric: The headline: balanced_accuracy, macro_f1 or accuracy.
        margin: The smallest difference of it worth having.

    Raises:
        InputError: no such metric, or settings that do not go together.
    """
    place, model = places.recorded("texts", file), places.recorded_checkpoint(model)
    own: dict[str, Any] = {"text": text, "label": label, "split": split, "scratch": scratch, "lora": lora}
    own |= {"metric": metric, "margin": margin}
    task = texts_task("texts", place, model=model, **own)
    return replace(task, name=places.call(texts, place, {"model": model} | own))


def texts_task(
    kind: str,
    place: str,
    *,
    model: str,
    text: str | Sequence[str],
    label: str,
    split: str = "",
    scratch: bool = False,
    lora: int = 0,
    metric: str,
    margin: float,
) -> Task:
    """The task of a kind's texts, whose name is still to be given; the settings are those of `texts`."""
    columns = (text,) if isinstance(text, str) else tuple(text)
    if not 1 <= len(columns) <= 2 or not all(isinstance(name, str) for name in columns):
        raise InputError(f"{kind}: text is a column, or two in a list for pairs, not {text!r}")
    tuned = recipe.is_tuned(kind, model, scratch, lora)
    read = partial(_read, place, columns, label, model, split)
    return scores.classes_task(
        kind=kind,
        place=place,
        metric=metric,
        margin=margin,
        read=read,
        name=kind,
        family="text",
        load=partial(_load, read, model, tuned),
        model=partial(_model, read, model, scratch, lora),
        **recipe.settings(model, tuned, lora),
    )


def _load(read: Callable[[], splits.Labelled], model: str, tuned: bool) -> Data:
    data = read().data
    return data if model == recipe.SMALL else checkpoint.stamped(data, model, weights=tuned)


def _model(read: Callable[[], splits.Labelled], model: str, scratch: bool, lora: int) -> nn.Module:
    return recipe.network(model, len(read().names), lambda: read().data, scratch=scratch, lora=lora)


def _read(place: str, columns: tuple[str, ...], label: str, model: str, split: str) -> splits.Labelled:
    return _loaded(place, columns, label, model, split, root())


@cache
def _loaded(place: str, columns: tuple[str, ...], label: str, model: str, split: str, _root: str) -> splits.Labelled:
    """Piece ids and kinds of pieces, as in `sentences.load`, and labels [N] int64."""
    content = rows.read(places.own("texts", place, rows.LAYOUT), split)
    examples = list(zip(*(_texts(content, column) for column in columns), strict=True))
    numbers, names = rows.classes(content, label)
    labels = np.array(numbers, np.int64)
    marks = [splits.mark(text.encode("utf-8", "surrogatepass") for text in example) for example in examples]
    selection = splits.assign(content.parts, marks, content.pack.wrong)
    splits.check_classes(labels, names, selection[0], content.pack.wrong)
    parts = [[examples[i] for i in index] for index in selection]
    inputs = sentences.encoded(parts, "" if model == recipe.SMALL else model)
    stamp = "\n".join(names)
    splits_read = (Split(arrays, (labels[i],), stamp) for arrays, i in zip(inputs, selection, strict=True))
    return splits.Labelled(Data(*splits_read), names)


def _texts(content: rows.TableRows, column: str) -> list[str]:
    """A column of texts.

    Raises:
        InputError: a row has none, or all are numbers.
    """
    values = content.column(column)
    for row, value in enumerate(values):
        if not isinstance(value, str | int | float) or not str(value).strip():
            raise content.wrong(row, f"has no text in {column}")
    if all(rows.number(value) is not None for value in values):
        raise content.pack.wrong(f"its column {column}", "holds numbers, not texts: for numbers there is table('FILE')")
    if strangers := [row for row, value in enumerate(values) if not isinstance(value, str)]:
        raise content.wrong(strangers[0], f"has the number {values[strangers[0]]} in {column}, where others have texts")
    return values
