"""A task tried out on a few examples before anything trains: what would fail its first update fails here."""

from __future__ import annotations

import math
import warnings

from bench.contract import InputError, Task
from bench.engine.loader import epoch_steps
from bench.engine.memory import FEW, batch
from schedules.user_code import blamed


def check(task: Task) -> None:
    """Refuse a task whose batch is larger than its set, or whose model, loss and score don't go together.

    Raises:
        InputError: naming the task and what is wrong with it.
    """
    import torch
    from torch.utils import _pytree as pytree

    epoch_steps(task)
    with warnings.catch_warnings(), blamed(f"task {task.name}, tried on {FEW} examples"):
        warnings.simplefilter("ignore")  # few examples may leave a score undefined
        model, (inputs, target) = task.model().eval(), batch(task, min(FEW, task.batch_size))
        with torch.no_grad():
            output = model(*inputs)
        scores = task.score(pytree.tree_map(lambda a: a.cpu(), output), tuple(a.cpu() for a in target))
    if not isinstance(scores, dict) or task.metric not in scores:
        names = ", ".join(scores) if isinstance(scores, dict) else type(scores).__name__
        raise InputError(f"task {task.name}: its metric is {task.metric!r}, and its score gives {names}")
    line = task.baseline(task.load()).value
    if not (isinstance(line, int | float) and math.isfinite(line)):
        raise InputError(f"task {task.name}: its baseline is {line!r}; it should be a finite number")
