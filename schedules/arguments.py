"""Domains of the arguments of schedules, as annotations. They are checked before anything trains."""

from __future__ import annotations

import sys
from math import inf
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from schedules.contract import InputError

LARGEST = sys.float_info.max  # larger numbers are infinite, and NaN is not below


class Range(NamedTuple):
    """An interval in the usual notation: (0, 1] is 0 < x <= 1. NaN is in none."""

    low: float
    high: float
    ends: str

    def holds(self, x: float) -> bool:
        above = self.low <= x if self.ends[0] == "[" else self.low < x
        return above and (x <= self.high if self.ends[1] == "]" else x < self.high)

    def __str__(self) -> str:
        return f"{self.ends[0]}{self.low:g}, {self.high:g}{self.ends[1]}"


Positive = Annotated[float, Range(0, 1e9, "(]")]
Share = Annotated[float, Range(0, 1, "(]")]  # of a whole: more than nothing, up to all
Part = Annotated[float, Range(0, 1, "()")]  # of a whole: more than nothing, less than all
Low = Annotated[float, Range(0, 1, "[)")]  # a lowest factor, a momentum: 0 or more, below 1
Reach = Annotated[float, Range(1, 1e9, "[]")]  # a highest factor: at the peak or above
Count = Annotated[int, Range(0, inf, "[)")]


def fit(schedule: str, argument: str, value: Any, hint: Any) -> Any:
    """`value` as the type of `hint`: an int becomes a float where the hint is one, a list becomes a tuple.

    >>> fit("wsd", "cooldown", 1, Share)
    1.0
    >>> fit("wsd", "cooldown", 2, Share)
    Traceback (most recent call last):
        ...
    schedules.contract.InputError: schedule wsd: cooldown should be a number in (0, 1], not 2
    """
    try:
        return _fit(value, hint)
    except ValueError:
        raise InputError(f"schedule {schedule}: {argument} should be {words(hint)}, not {value!r}") from None


def _fit(value: Any, hint: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        number = _fit(value, inner[0])
        return number if inner[1].holds(number) else _refuse()
    if origin in (Union, UnionType):
        return _first(value, inner)
    if origin is tuple:
        return tuple(_fit(v, inner[0]) for v in value) if isinstance(value, list | tuple) else _refuse()
    if origin is Literal:
        return value if isinstance(value, str) and value in inner else _refuse()
    if hint is Any:  # without an annotation, as in a user's function
        return value
    if hint is float:
        return float(value) if type(value) in (int, float) and abs(value) <= LARGEST else _refuse()
    fits = type(value) is hint if hint in (int, bool, str) else isinstance(value, origin or hint)
    return value if fits else _refuse()  # a bool is not a number


def _first(value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        try:
            return _fit(value, hint)
        except ValueError:
            continue
    return _refuse()


def _refuse() -> Any:
    raise ValueError


def words(hint: Any) -> str:
    """Values that `hint` allows, in words.

    >>> words(Literal["linear", "sqrt"]), words(tuple[Share, ...]), words(Count | None)
    ("'linear' or 'sqrt'", 'a list, each a number in (0, 1]', 'a whole number in [0, inf) or None')
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{words(inner[0])} in {inner[1]}"
    if origin in (Union, UnionType):
        return " or ".join(map(words, inner))
    if origin is tuple:
        return f"a list, each {words(inner[0])}"
    if origin is Literal:
        return " or ".join(map(repr, inner))
    plain = {float: "a number", int: "a whole number", str: "a text", bool: "True or False", NoneType: "None"}
    plain[Any] = "anything"
    return plain.get(hint) or f"a {(origin or hint).__name__.lower()}"
