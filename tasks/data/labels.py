"""Labels of a table's rows, matched by name where there are names: parts of a set may number them differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract import Array
from tasks.data.dataset import Pack

if TYPE_CHECKING:
    from datasets import Dataset


def positions(pack: Pack, where: object, table: Dataset, column: str, known: Sequence[str]) -> Array:
    """The index of each row's label in `known`, int64 [N]; plain numbers are taken as such indices.

    Raises:
        InputError: labels have other names or are missing, or a number is no index of `known`.
    """
    names, values = names_and_numbers(pack, where, table, column)
    if names is None:
        return numbers(pack, where, column, values, len(known))
    if set(names) != set(known) or len(names) != len(known):
        raise pack.wrong(where, f"its labels are named {_listed(names)}, not {_listed(known)}")
    return np.array([known.index(name) for name in names])[numbers(pack, where, column, values, len(names))]


def names_and_numbers(
    pack: Pack, where: object, table: Dataset, column: str
) -> tuple[Sequence[str] | None, Sequence[Any]]:
    """(names of the labels or None, number of each row's label) of a column of classes, texts or plain numbers.

    Raises:
        InputError: a row has no text where others have one.
    """
    values = table.with_format(None)[column][:]
    names = getattr(table.features[column], "names", None)
    if names is not None:
        return names, values
    texts = [value for value in values if isinstance(value, str)]
    if not texts or all(text.strip().lstrip("+-").isdecimal() for text in texts):  # numbers written as text
        return None, values
    if len(texts) < len(values):
        row = next(i for i, value in enumerate(values) if not isinstance(value, str))
        raise pack.wrong(where, f"row {row} has the label {values[row]!r} where others have names")
    order = sorted(set(texts))
    return order, [order.index(text) for text in texts]


def numbers(pack: Pack, where: object, column: str, values: Sequence[Any], classes: int) -> Array:
    """Whole numbers from 0 to `classes` - 1, int64 [N]; they may be stored as floats or text.

    Raises:
        InputError: naming the first row without such a number.
    """
    for row, value in enumerate(values):
        if not _is_label(value, classes):
            hidden = " (as parts whose labels are kept secret have it)" if value == -1 else ""
            raise pack.wrong(where, f"row {row} has the {column} {value!r}{hidden}, not one of 0 .. {classes - 1}")
    return np.array([int(value) for value in values], np.int64)


def _is_label(value: Any, classes: int) -> bool:
    try:
        return not isinstance(value, bytes) and int(value) == float(value) and 0 <= int(value) < classes
    except (TypeError, ValueError, OverflowError):
        return False


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
