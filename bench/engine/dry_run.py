"""Dry run of a task on a few examples before training, so that errors of its first update show up early."""

from __future__ import annotations

import math
import warnings

from bench.contract import InputError, Task
from bench.engine.loader import epoch_steps
from bench.engine.memory import FEW, batch
from schedules.user_code import blamed


def check(task: Task) -> None:
    """Refuse a task whose batch is larger than its train split, or whose model, metric or baseline is inconsistent.

    Raises:
        InputError: names the task and what is wrong with it.
    """
    import torch
    from torch.utils import _pytree as pytree

    epoch_steps(task)
    with warnings.catch_warnings(), blamed(f"task {task.name}, tried on {FEW} examples"):
        warnings.simplefilter("ignore")  # a score may be undefined on few examples
        model = task.model().eval()
        inputs, target = batch(task, min(FEW, task.batch_size))
        with torch.no_grad():
            output = model(*inputs)
        scores = task.score(pytree.tree_map(lambda a: a.cpu(), output), tuple(a.cpu() for a in target))
    if not isinstance(scores, dict) or task.metric not in scores:
        names = ", ".join(scores) if isinstance(scores, dict) else type(scores).__name__
        raise InputError(f"task {task.name}: its metric is {task.metric!r}, and its score gives {names}")
    value = task.baseline(task.load()).value
    if not (isinstance(value, int | float) and math.isfinite(value)):
        raise InputError(f"task {task.name}: its baseline is {value!r}; it should be a finite number")
