"""Payloads of the rows that training writes. `results/README.md` says how they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bench.contract import Cell, Cohort, Task
from bench.train.roster import Best, Member

Scores = dict[str, float]
Means = tuple[float | None, float | None]  # of the training loss and of the gradient norm, before clipping


def evaluation(
    task: Task, cohort: Cohort, member: Member, step: int, epoch: float, seen: tuple[Means, Scores, Scores]
) -> tuple[str, dict[str, Any]]:
    """Key and payload of an `eval` row; `seen` is (what training was like since the last one, control, test)."""
    (train_loss, grad_norm), control, test = seen
    return f"{cohort.id}/{member.segment}/{step}", {
        "cohort": cohort.id,
        "segment": member.segment,
        "parent": member.parent,
        "start": member.start,
        "step": step,
        "epoch": epoch,
        "lr": member.lr,
        "train_loss": train_loss,
        "grad_norm": grad_norm,
        "control": control[task.metric],
        "test": test[task.metric],
        "control_loss": control["loss"],
        "test_loss": test["loss"],
    }


def cell(task: Task, cohort: Cohort, it: Cell, member: Member, epoch_steps: int) -> dict[str, Any]:
    """What a `cell` row says of the cell itself, whatever became of it."""
    return (
        {
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
        }
        | ({} if it.averaging == "none" else {"averaging": it.averaging})
        | _unusual(cohort)
    )


def finished(best: Best, epoch_steps: int, control: Scores, test: Scores, anew: Scores | None) -> dict[str, Any]:
    """The results in the row of a cell whose budget is spent; `anew` is test after BatchNorm recalibration."""
    return {
        "status": "done",
        "final": _metrics(test),
        "best": {"epoch": best.step / epoch_steps, "control": best.control, "test": best.test},
        "control": _metrics(control),
        "recalibrated": anew and _metrics(anew),
    }


def finite(control: Scores, test: Scores) -> bool:
    """Whether no output of either split was NaN or infinite."""
    return bool(control["finite"] and test["finite"])


def diverged(first_bad_step: int, member: Member) -> dict[str, Any]:
    """The results in the row of a cell whose loss, gradient or output stopped being finite."""
    return {"status": "diverged", "first_bad_step": first_bad_step} | _fork(member)


def failed(step: int, error: str, member: Member) -> dict[str, Any]:
    """The results in the row of a cell whose schedule raised an error, or gave no factor, at an update."""
    return {"status": "failed", "failed_step": step, "error": error} | _fork(member)


def _fork(member: Member) -> dict[str, Any]:
    """Where a member comes from: one that was forked since it was last evaluated has no `eval` row to say so."""
    return {} if member.parent is None else {"parent": member.parent, "start": member.start}


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
    } | _unusual(it)


def _unusual(cohort: Cohort) -> dict[str, str]:
    """Only what is not as ever is said, so earlier ledgers replay to the same rows."""
    return ({"arithmetic": cohort.arithmetic.text} if cohort.arithmetic.text else {}) | _code(cohort)


def _code(cohort: Cohort) -> dict[str, str]:
    return {"code": cohort.cells[0].code} if cohort.cells[0].code else {}


def standing(plans: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row, of the `plan` rows of a ledger (one or more), that says what its tables are of: the last one."""
    plans = list(plans)
    past = {key for row in plans for key in (row["payload"].get("extends"), *row["payload"].get("replaces", ()))}
    return next(row for row in plans if row["key"] not in past)


def of_code(plan: Mapping[str, Any], cell: Mapping[str, Any]) -> bool:
    """Whether a cell, a cohort or a failure is of the task's code that a plan is of."""
    return bool(cell.get("code", "") == plan.get("tasks", {}).get(cell.get("task"), {}).get("code", ""))


def failure(it: Cohort, error: str) -> dict[str, Any]:
    """The row that says that a cohort could not be trained to its end; its cells are missing."""
    return {"cohort": it.id, "task": it.task, "seed": it.seed, "error": error, "cells": len(it.cells)} | _code(it)


def explain(error: BaseException) -> str:
    """One line that says what went wrong, the same at each attempt: no addresses."""
    text = re.sub(r"\b0x[0-9a-f]+", "0x…", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _metrics(scores: Scores) -> Scores:
    return {k: v for k, v in scores.items() if k != "finite"}
