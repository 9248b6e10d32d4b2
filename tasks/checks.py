"""Checks of a task's settings, made when the task is parsed, before anything is loaded or trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from operator import contains
from typing import Any, get_args

from bench.contract import Direction, Family, InputError, Layers, Task
from bench.metrics import METRICS

CHOICES = {"family": get_args(Family), "direction": get_args(Direction), "layers": get_args(Layers)}
TEXTS = ("name", "metric", "optimizer")
CALLABLES = ("load", "model", "loss", "score", "baseline")


def check(task: Task) -> None:
    """Refuse invalid settings.

    Raises:
        InputError: naming the task, the setting and what is allowed.
    """
    for name, choices in CHOICES.items():
        _require(task, name, partial(contains, choices), f"one of {', '.join(choices)}")
    for name in TEXTS:
        _require(task, name, lambda value: isinstance(value, str) and bool(value), "a text")
    if task.metric in METRICS:
        better = METRICS[task.metric].direction
        _require(task, "direction", lambda value: value == better, f"{better}, for its metric is {task.metric}")
    _require(task, "batch_size", lambda value: _whole(value) and value >= 1, "a whole number, 1 or more")
    for name in ("epochs", "eval_epochs"):
        _require(task, name, _positive, "a finite number above 0")
    _require(task, "weight_decay", lambda value: _number(value) and value >= 0, "a finite number, 0 or more")
    _require(task, "clip", lambda value: value is None or _positive(value), "None or a finite number above 0")
    _require(task, "peak_lrs", _ascending, "one or more finite numbers above 0, ascending")
    for name in CALLABLES:
        _require(task, name, callable, "a function")
    _require(task, "margin", lambda value: value is None or _positive(value.value), "None or a Margin above 0")
    _require(task, "prepare", lambda value: value is None or callable(value), "None or a function")


def _require(task: Task, name: str, allowed: Callable[[Any], bool], words: str) -> None:
    value = getattr(task, name)
    if not allowed(value):
        raise InputError(f"task {task.name}: {name} is {value!r}; it should be {words}")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _ascending(value: Any) -> bool:
    if not (isinstance(value, tuple | list) and value and all(map(_positive, value))):
        return False
    return all(a < b for a, b in pairwise(value))
