"""A model built again from a cell's settings and kept weights, and its score on the test split."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tasks
from bench.contract import InputError, Task
from bench.ledger.cell_row import CellSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.engine.loader import Loader


def open_task(settings: CellSettings) -> Task:
    """The task of a cell, as the cell was trained on.

    Raises:
        InputError: the code or the data of the task have changed since.
    """
    task = tasks.parse(settings.task)
    for name, own, recorded in (("code", task.code, settings.code), ("data", task.load().digest(), settings.data)):
        if recorded and own != recorded:
            raise InputError(
                f"{task.name}: its {name} has changed since the cell was recorded ({recorded} there, {own} here), so "
                "the kept weights may not fit"
            )
    return task


def load(task: Task, seed: int, tensors: dict[str, Tensor], threads: int = 1) -> tuple[Loader, nn.Module]:
    """The loader of a task and its model with these weights, on the CPU and ready for evaluation.

    Raises:
        InputError: the weights are those of another model.
    """
    import torch

    from bench.engine.loader import Loader
    from bench.engine.modules import initial_model

    torch.set_num_threads(threads)  # as in training: sums depend on them in the last bit
    torch.use_deterministic_algorithms(True)
    loader = Loader(task, seed)
    model = initial_model(loader).eval()
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"{task.name}: the weights do not fit its model ({' '.join(str(error).split())[:120]})"
        ) from None
    return loader, model


def score(loader: Loader, forward: Callable[..., Any]) -> dict[str, float]:
    """Scores of a model on the test split, read in the chunks of a run's evaluations."""
    import torch

    from bench.engine import evaluation

    chunks, target = loader.split("test")
    with torch.no_grad():
        outputs = evaluation.collect_outputs(chunks, lambda inputs: forward(*inputs))
    return {name: value for name, value in evaluation.score(loader.task, outputs, target).items() if name != "finite"}


def example(loader: Loader) -> tuple[Tensor, ...]:
    """The first two examples of the test split, as the model takes them."""
    chunks, _ = loader.split("test")
    return tuple(a[:2] for a in next(iter(chunks)))
