"""Rows that training writes."""

from __future__ import annotations

import re

from bench.contract import Cell, Cohort, Task
from bench.ledger.cell_row import BestEpoch, CellRow, CellSettings, Diverged, Done, Failed, Result, Scores
from bench.ledger.rows import CohortRow, EvalRow, FailureRow
from bench.train.roster import Best, Member

Means = tuple[float | None, float | None]  # of the training loss and of the gradient norm before clipping


def evaluation(
    task: Task, cohort: Cohort, member: Member, step: int, epoch: float, readings: tuple[Means, Scores, Scores]
) -> EvalRow:
    """An `eval` row; `readings` are (means of training since the last one, scores on control, scores on test)."""
    (train_loss, grad_norm), control, test = readings
    return EvalRow(
        cohort=cohort.id,
        segment=member.segment,
        parent=member.parent,
        start=member.start,
        step=step,
        epoch=epoch,
        lr=member.lr,
        train_loss=train_loss,
        grad_norm=grad_norm,
        control=control[task.metric],
        test=test[task.metric],
        control_loss=control["loss"],
        test_loss=test["loss"],
    )


def cell_row(task: Task, cohort: Cohort, cell: Cell, member: Member, epoch_steps: int, result: Result) -> CellRow:
    """A `cell` row."""
    settings = CellSettings(
        cell=cell.id,
        task=cell.task,
        family=task.family,
        schedule=cell.schedule,
        optimizer=cell.optimizer,
        weight_decay=cell.weight_decay,
        peak_lr=cell.peak_lr,
        budget=cell.budget,
        epochs=cell.total / epoch_steps,
        total=cell.total,
        seed=cell.seed,
        data=cell.data,
        cohort=cohort.id,
        engine=cohort.engine,
        segment=member.segment,
        averaging=cell.averaging,
        arithmetic=cohort.arithmetic.text,
        code=cell.code,
    )
    return CellRow(settings, result)


def done_result(best: Best, epoch_steps: int, control: Scores, test: Scores, recalibrated: Scores | None) -> Done:
    """Results of a cell whose budget is spent."""
    return Done(
        final=_metrics(test),
        best=BestEpoch(best.step / epoch_steps, best.control, best.test),
        control=_metrics(control),
        recalibrated=recalibrated and _metrics(recalibrated),
    )


def finite(control: Scores, test: Scores) -> bool:
    """True if no output of either split was NaN or infinite."""
    return bool(control["finite"] and test["finite"])


def diverged_result(first_bad_step: int, member: Member) -> Diverged:
    """Results of a cell whose loss, gradient or output stopped being finite."""
    parent, start = _fork(member)
    return Diverged(first_bad_step=first_bad_step, parent=parent, start=start)


def failed_result(step: int, error: str, member: Member) -> Failed:
    """Results of a cell whose schedule raised an error, or gave no factor, at an update."""
    parent, start = _fork(member)
    return Failed(failed_step=step, error=error, parent=parent, start=start)


def _fork(member: Member) -> tuple[int | None, int | None]:
    """Parent and start of a member that was forked."""
    return (None, None) if member.parent is None else (member.parent, member.start)


def cohort_row(cohort: Cohort, looks: int, moves: int, segments: int) -> CohortRow:
    """A `cohort` row."""
    return CohortRow(
        cohort=cohort.id,
        task=cohort.task,
        seed=cohort.seed,
        engine=cohort.engine,
        threads=cohort.threads,
        cells=len(cohort.cells),
        cell_steps=cohort.cell_steps,
        looks=looks,
        moves=moves,
        segments=segments,
        arithmetic=cohort.arithmetic.text,
        code=cohort.cells[0].code,
    )


def failure_row(cohort: Cohort, error: str) -> FailureRow:
    """A `failure` row."""
    code = cohort.cells[0].code
    return FailureRow(
        cohort=cohort.id, task=cohort.task, seed=cohort.seed, error=error, cells=len(cohort.cells), code=code
    )


def explain(error: BaseException) -> str:
    """One line that says what went wrong, the same at each attempt: no addresses."""
    text = re.sub(r"\b0x[0-9a-f]+", "0x…", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _metrics(scores: Scores) -> Scores:
    return {name: score for name, score in scores.items() if name != "finite"}
