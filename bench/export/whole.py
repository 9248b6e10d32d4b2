"""A task with all its training data: the train and the control split together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from bench.contract import Data, Schedule, Split, Task

WHOLE = " on all training data"
"""End of such a task's name in a ledger, so that no other ledger's cells are taken for its own."""


def whole(task: Task, schedule: Schedule[Any]) -> tuple[Task, str]:
    """The task with train and control as its train split, or the task itself and a reason why they are not joined."""
    if "control" in schedule.needs:
        return task, f"{schedule.text} reads control while it trains"
    data = task.load()
    train, control = data.train, data.control
    if not (isinstance(train, Split) and isinstance(control, Split)):
        return task, "data that are read from the disk while they are trained on are not joined"
    pairs = zip((*train.inputs, *train.target), (*control.inputs, *control.target), strict=True)
    if any((a.shape[1:], a.dtype) != (b.shape[1:], b.dtype) for a, b in pairs):
        return task, "examples of train and control have different shapes"
    return replace(task, name=task.name + WHOLE, load=partial(join, task.load)), ""


@cache
def join(load: Callable[[], Data]) -> Data:
    """Train and control joined to one split; control and test as they are."""
    train, control, test = load()
    assert isinstance(train, Split)
    assert isinstance(control, Split)
    inputs, target = (
        tuple(np.concatenate(pair) for pair in zip(one, other, strict=True))
        for one, other in ((train.inputs, control.inputs), (train.target, control.target))
    )
    return Data(Split(inputs, target, train.stamp + control.stamp), control, test)
