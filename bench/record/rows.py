"""Payloads of the rows that training writes. `results/README.md` says how they are read."""

from __future__ import annotations

from typing import Any

from bench.contract import Cell, Cohort, Task
from bench.roster import Best, Member

Scores = dict[str, float]


def evaluation(
    task: Task, cohort: Cohort, member: Member, step: int, epoch: float, seen: tuple[float, Scores, Scores]
) -> tuple[str, dict[str, Any]]:
    """Key and payload of an `eval` row; `seen` is (mean training loss since the last one, control, test)."""
    train_loss, control, test = seen
    return f"{cohort.id}/{member.segment}/{step}", {
        "cohort": cohort.id,
        "segment": member.segment,
        "parent": member.parent,
        "start": member.start,
        "step": step,
        "epoch": epoch,
        "lr": member.lr,
        "train_loss": train_loss,
        "control": control[task.metric],
        "test": test[task.metric],
        "control_loss": control["loss"],
        "test_loss": test["loss"],
    }


def cell(task: Task, cohort: Cohort, it: Cell, member: Member, epoch_steps: int) -> dict[str, Any]:
    """What a `cell` row says of the cell itself, whatever became of it."""
    return {
        "cell": it.id,
        "task": it.task,
        "family": task.family,
        "schedule": it.schedule,
        "optimizer": it.optimizer,
        "weight_decay": it.weight_decay,
        "peak_lr": it.peak_lr,
        "budget": it.budget,
        "epochs": it.total / epoch_steps,
        "total": it.total,
        "seed": it.seed,
        "data": it.data,
        "cohort": cohort.id,
        "engine": cohort.engine,
        "segment": member.segment,
    } | ({} if it.averaging == "none" else {"averaging": it.averaging})  # so earlier ledgers replay to the same rows


def finished(best: Best, epoch_steps: int, control: Scores, test: Scores, anew: Scores | None) -> dict[str, Any]:
    """The results in the row of a cell whose budget is spent; `anew` is test after BatchNorm recalibration."""
    return {
        "status": "done",
        "final": _metrics(test),
        "best": {"epoch": best.step / epoch_steps, "control": best.control, "test": best.test},
        "control": _metrics(control),
        "recalibrated": anew and _metrics(anew),
    }


def diverged(first_bad_step: int, member: Member) -> dict[str, Any]:
    """The results in the row of a cell whose loss, gradient or output stopped being finite.

    A member that was forked since it was last evaluated has no `eval` row, so its parent is named here.
    """
    fork = {} if member.parent is None else {"parent": member.parent, "start": member.start}
    return {"status": "diverged", "first_bad_step": first_bad_step} | fork


def cohort(it: Cohort, looks: int, moves: int, segments: int) -> dict[str, Any]:
    """The row that says that all cells of a cohort are done, and what it took."""
    return {
        "cohort": it.id,
        "task": it.task,
        "seed": it.seed,
        "engine": it.engine,
        "threads": it.threads,
        "cells": len(it.cells),
        "cell_steps": it.cell_steps,
        "looks": looks,
        "moves": moves,
        "segments": segments,
    }


def _metrics(scores: Scores) -> Scores:
    return {k: v for k, v in scores.items() if k != "finite"}
