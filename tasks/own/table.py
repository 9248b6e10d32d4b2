"""Tables of numbers of the user's own: one column is learnt from the others.

N = rows, F = features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from bench.contract import Array, Baseline, Data, InputError, Split, Task
from tasks.data import places
from tasks.data.dataset import root
from tasks.own import rows, scores, splits

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_CLASSES = 20
"""Different whole numbers up to which a target of numbers is one of classes."""

MOST_CATEGORIES = 20
"""Different texts up to which a column of them becomes one-hot."""

REGRESSION, CLASSIFICATION = "regression", "classification"


class TableData(NamedTuple):
    """Data of a table, and the names of the classes (of a regression, none)."""

    labelled: splits.Labelled
    width: int  # features


def table(
    file: str = "table.csv",
    target: str = "target",
    *,
    kind: Literal["", "regression", "classification"] = "",
    columns: Sequence[str] = (),
    split: str = "",
    width: int = 64,
    metric: str = "",
    margin: float = scores.MARGIN,
) -> Task:
    """A column of a table learnt from its other columns by an MLP, `table('FILE.csv', target='y')`.

    The target is one of classes if it holds texts, truth values, or at most 20 different whole numbers; else it is
    learnt by regression, judged by the mean squared error in units of the variance of the train targets. `kind` decides
    otherwise. Columns of numbers are standardised by the train split, and columns of at most 20 different texts become
    one-hot; others are refused. Splits are files or rows named train, validation and test where there are some, else by
    a rule on content (`tasks/own/splits.py`).

    Args:
        file: The path of a CSV, TSV, JSON, JSON lines or parquet file, or of a folder of train, validation and test.
        target: The column to learn.
        kind: regression or classification; by the rule above if empty.
        columns: The columns to learn from; all others if empty.
        split: The column that says which part a row is of.
        width: Units of the hidden layer.
        metric: Of classes the headline: balanced_accuracy, macro_f1 or accuracy.
        margin: The smallest difference of the headline worth having.

    Raises:
        InputError: an unknown kind or metric, or a setting out of range.
    """
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise InputError(f"table: width is the units of the hidden layer, a whole number from 1, not {width!r}")
    place, columns = places.recorded("table", file), (columns,) if isinstance(columns, str) else tuple(columns)
    decided = _kind(place, target, split, kind)
    if decided == REGRESSION and metric:
        raise InputError("table: metric is of classes; a regression is judged by its mean squared error")
    settings = {"target": target, "kind": decided, "columns": columns, "split": split, "width": width, "metric": metric}
    read = partial(_read, place, target, decided == REGRESSION, columns, split)
    common: dict[str, Any] = {
        "name": places.call(table, place, settings | {"margin": margin}),
        "family": "table",
        "batch_size": 32,
        "epochs": 30,
        "peak_lrs": (0.01, 0.03, 0.1, 0.3),
        "layers": "mlp",
        "model": lambda: _model(read(), width),
        "eval_epochs": 2,
    }
    if decided == REGRESSION:
        return _regression(place, margin, read, common)
    metric, labelled = metric or scores.HEADLINE, lambda: read().labelled
    return scores.classes_task(kind="table", place=place, metric=metric, margin=margin, read=labelled, **common)


def _kind(place: str, target: str, split: str, kind: str) -> str:
    """The kind that the user gives, or the one that follows from the target; of a file that is not there, classes.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in ("", REGRESSION, CLASSIFICATION):
        raise InputError(f"table: kind is {REGRESSION} or {CLASSIFICATION}, not {kind!r}")
    pack = places.own("table", place, rows.LAYOUT)
    if kind or not places.is_there(pack):
        return kind or CLASSIFICATION
    values = rows.read(pack, split).column(target)
    numbers = [rows.number(value) for value in values]
    if None in numbers:
        return CLASSIFICATION
    few = len(set(numbers)) <= MOST_CLASSES
    return CLASSIFICATION if few and all(n == round(n or 0.0) for n in numbers) else REGRESSION


def _model(columns: TableData, width: int) -> nn.Module:
    from tasks.models import mlp

    return mlp(columns.width, width, max(1, len(columns.labelled.names)))


# ---------------------------------------------------------------------------------------------- regression


def _regression(place: str, margin: float, read: Any, common: dict[str, Any]) -> Task:
    return Task(
        source=scores.source(place),
        metric="mse",
        direction="min",
        optimizer="sgd(momentum=0.9)",
        weight_decay=0.0,
        load=lambda: read().labelled.data,
        loss=squared,
        score=score,
        baseline=constant,
        chance="the mean of the train targets: about 1, the baseline",
        margin=scores.margin_of("table", margin),
        outside=True,
        **common,
    )


def squared(output_N1: Tensor, target: Sequence[Tensor]) -> Tensor:
    """Mean squared error of outputs [N, 1] against targets [N], both standardised by the train split."""
    from torch.nn import functional

    return functional.mse_loss(output_N1[:, 0], target[0])


def score(output_N1: Tensor, target: Sequence[Tensor]) -> dict[str, float]:
    """The mean squared error, in units of the variance of the train targets, which is the loss."""
    error = squared(output_N1.double(), (target[0].double(),)).item()
    return {"mse": error, "loss": error}


def constant(data: Data) -> Baseline:
    """Mean squared error on the test split of the mean of the train targets, which is 0."""
    return Baseline("the mean of the train targets", float(np.mean(np.square(data.test.target[0].astype(np.float64)))))


# --------------------------------------------------------------------------------------------------- data


def _read(place: str, target: str, regression: bool, columns: tuple[str, ...], split: str) -> TableData:
    """Columns in the table's order: numbers, also those of a target, standardised by the train split; texts one-hot."""
    return _loaded(place, target, regression, columns, split, root())


@cache
def _loaded(place: str, target: str, regression: bool, columns: tuple[str, ...], split: str, _root: str) -> TableData:
    """Features [N, F] float32, and targets [N]: int64 classes, or float32 standardised by the train split."""
    pack = places.own("table", place, rows.LAYOUT)
    content = rows.read(pack, split)
    if target in columns:
        raise pack.wrong("its target", f"{target} is among the columns that it is to be learnt from")
    names: tuple[str, ...] = ()
    truth: Array
    if regression:
        truth = _numbers(content, target)
    else:
        labels, names = rows.classes(content, target)
        truth = np.array(labels, np.int64)
    features = [name for name in content.columns if name not in (target, split)] if not columns else list(columns)
    if not features:
        raise pack.wrong("its table", f"has no column besides {target} to learn from")
    parsed = {name: _feature(content, name) for name in features}
    selection = splits.assign(content.parts, _marks(list(parsed.values())), pack.wrong)
    if regression:
        truth = _standardised(truth, selection[0])
        if not truth.any():
            raise pack.wrong("its train split", f"has one value of {target} in every row: nothing is to learn")
    else:
        splits.check_classes(truth, names, selection[0], pack.wrong)
    inputs = np.concatenate([_columns(values, selection[0]) for values in parsed.values()], 1)
    stamp = "\n".join([*features, "", *names])
    data = Data(*(Split((inputs[index],), (truth[index],), stamp) for index in selection))
    return TableData(splits.Labelled(data, names), inputs.shape[1])


def _feature(content: rows.TableRows, name: str) -> Array:
    """A column as numbers [N] float64, or, if it holds texts, as these [N].

    Raises:
        InputError: a row has no value, or there are more than MOST_CATEGORIES different texts.
    """
    values = content.column(name)
    for row, value in enumerate(values):
        if rows.is_missing(value):
            raise content.wrong(row, f"has no value in {name}: fill the gaps, or choose other columns by columns=[...]")
    if all(rows.number(value) is None for value in values):
        texts = [str(value).strip() for value in values]
        if (many := len(set(texts))) > MOST_CATEGORIES:
            reason = f"has {many:,} different texts, and {MOST_CATEGORIES} at most become one-hot: leave the column out"
            raise content.pack.wrong(f"its column {name}", f"{reason} by columns=[...]")
        return np.array(texts, str)
    return _numbers(content, name)


def _marks(columns: Sequence[Array]) -> list[bytes]:
    """The mark of each row's content."""
    pieces = [
        [row.tobytes() for row in values.astype("<f8")]
        if values.dtype.kind == "f"
        else [text.encode() for text in values.tolist()]
        for values in columns
    ]
    return [splits.mark(row) for row in zip(*pieces, strict=True)]


def _numbers(content: rows.TableRows, name: str) -> Array:
    numbers = [rows.number(value) for value in content.column(name)]
    for row, value in enumerate(numbers):
        if value is None:
            raise content.wrong(row, f"has {str(content.column(name)[row])[:40]!r} in {name}, not a finite number")
    return np.array(numbers, np.float64)


def _columns(values: Array, train: Array) -> Array:
    """A column's features [N, F] float32: standardised numbers, or 1 for each row's text, of those of the train split.

    A text that the train split lacks is 0 in all of them.
    """
    if values.dtype.kind == "f":
        return _standardised(values, train)[:, None]
    one_hot: Array = (values[:, None] == np.unique(values[train])).astype(np.float32)
    return one_hot


def _standardised(values: Array, train: Array) -> Array:
    """(x - mean) / deviation over the train split [N] float32; 0 where it is constant.

    Sums are exact, so that the digest of the data is the same on every machine.
    """
    n = len(train)
    centred = values - math.fsum(values[train]) / n
    deviation = math.sqrt(math.fsum(np.square(centred[train])) / n)
    constant_there = not np.ptp(values[train])
    result: Array = (np.zeros_like(values) if constant_there else centred / deviation).astype(np.float32)
    return result
