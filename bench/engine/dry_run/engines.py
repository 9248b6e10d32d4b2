"""A few updates of a task with an engine that will train it."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Any

from bench.contract import Cohort, Engine, InputError, Move, Split, Task
from bench.engine import create
from bench.engine.dry_run import check_scores
from bench.engine.dry_run.blame import blamed_quietly
from bench.engine.dry_run.soundness import evenly, examples
from bench.engine.loader import Loader
from bench.engine.memory import FEW

SPLITS = ("control", "test")

MOST, NUMBERS = 256, 4_000_000
"""Examples of a split that are scored at most, and numbers in their inputs: a trial takes seconds, also on a CPU."""


def check(task: Task, cohort: Cohort, device: str = "cpu") -> None:
    """Try a task out with the engine and the optimizer of a cohort, on a part of its examples.

    Two updates are taken; in the first the member is forked, and the second is repeated from a saved state.

    Raises:
        InputError: names the task and the rule that it breaks.
    """
    import torch

    size = min(task.batch_size, FEW * cohort.arithmetic.accumulate)
    few = replace(_part(task, 2 * size), batch_size=size)
    deterministic = torch.are_deterministic_algorithms_enabled()
    with blamed_quietly(f"task {task.name}, tried with the engine {cohort.engine}"), torch.random.fork_rng():
        try:
            torch.use_deterministic_algorithms(True)
            _try(few, cohort, device)
        finally:
            torch.use_deterministic_algorithms(deterministic)


def _part(task: Task, train: int) -> Task:
    """The task with so many training examples, and a part of the other splits: all at even distances."""
    data = task.load()
    first = examples(task, [("train", [0])]).load().train
    assert isinstance(first, Split)
    scored = max(FEW, min(MOST, NUMBERS // max(1, sum(a.size for a in first.inputs))))
    counts = {"train": train} | dict.fromkeys(SPLITS, scored)
    return examples(task, [(name, evenly(len(getattr(data, name)), n).tolist()) for name, n in counts.items()])


def _try(task: Task, cohort: Cohort, device: str) -> None:
    cell, loader = cohort.cells[0], Loader(task, cohort.seed, device)
    arithmetic = replace(cohort.arithmetic, processes=1, backend="")  # `Session.check` compiles

    def new() -> Engine:
        return create(cohort.engine, loader, cell.optimizer, cell.weight_decay, None, arithmetic)

    def update(engine: Engine, step: int) -> list[tuple[float, float, float]]:
        engine.look(loader.batch(step), step)
        if step == 0:
            engine.take([0, 0])
        engine.move([Move(cell.peak_lr)] * 2)
        return engine.signals()

    engine, restored = new(), new()
    loss, norm, _ = update(engine, 0)[0]
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise InputError(
            f"task {task.name}: the loss of its first batch is {loss}, and the norm of its gradient {norm}"
        )
    for split in SPLITS:
        for scores in engine.evaluate(split, [0]):
            check_scores(task, scores)
    restored.load_state_dict(_reloaded(engine.state_dict()))
    after = [repr((update(e, 1), e.evaluate("control", [0]))) for e in (engine, restored)]
    if after[0] != after[1]:  # as texts, in which NaNs are equal
        raise InputError(
            f"task {task.name}: after its state is saved and loaded, the next update is another: all that changes in "
            "training should be parameters and buffers of the model"
        )
    loader.close()


def _reloaded(state: dict[str, Any]) -> Any:
    """A state as a checkpoint gives it back."""
    import torch

    torch.save(state, file := io.BytesIO())
    file.seek(0)
    return torch.load(file, weights_only=True, map_location="cpu")
