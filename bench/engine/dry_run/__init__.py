"""Dry runs of tasks and optimizers before training, so that errors of code and data show up early, in one line.

Every task is tried on a few examples. One whose code, model or data are the user's (`Task.outside`) is tried out at
length (`soundness`), and then with each engine that will train it (`engines`). An optimizer from outside is tried on
small weights (`optimizer`).
"""

from __future__ import annotations

import math
from typing import Any

from bench.contract import InputError, Task
from bench.engine.dry_run.blame import blamed_quietly
from bench.engine.dry_run.soundness import probe
from bench.engine.loader import epoch_steps
from bench.engine.memory import FEW, batch


def check(task: Task) -> None:
    """Refuse a task whose batch is larger than its train split, or whose model, metric or baseline is inconsistent.

    Raises:
        InputError: names the task and what is wrong with it.
    """
    import torch
    from torch.utils import _pytree as pytree

    if task.outside:
        probe(task)
    epoch_steps(task)
    with blamed_quietly(f"task {task.name}, tried on {FEW} examples"):
        model = task.model().eval()
        inputs, target = batch(task, min(FEW, task.batch_size))
        with torch.no_grad():
            output = model(*inputs)
        scores = task.score(pytree.tree_map(lambda a: a.cpu(), output), tuple(a.cpu() for a in target))
    check_scores(task, scores)
    with blamed_quietly(f"task {task.name}, its baseline"):
        value = task.baseline(task.load()).value
    if not (isinstance(value, int | float) and math.isfinite(value)):
        raise InputError(f"task {task.name}: its baseline is {value!r}; it should be a finite number")


def check_scores(task: Task, scores: Any) -> None:
    """Refuse scores without the headline metric or the loss, and values that are no numbers.

    Raises:
        InputError: names the task and its scores.
    """
    names = ", ".join(map(str, scores)) if isinstance(scores, dict) else type(scores).__name__
    if not isinstance(scores, dict) or task.metric not in scores:
        raise InputError(f"task {task.name}: its metric is {task.metric!r}, and its score gives {names}")
    if "loss" not in scores:
        raise InputError(f"task {task.name}: its score gives {names}; it should give the loss as 'loss', too")
    for name, value in scores.items():
        if not isinstance(value, int | float):
            kind = type(value).__name__
            raise InputError(f"task {task.name}: its score gives {name} as {kind}; it should be a plain number")
