"""Rows of audited runs: cells that a training loop outside Glideslope reports, and the plan that they add up to.

A plan row is written when a run begins, so that metric, reference and budget are declared before its result, and a run
that never ended is missing in every table. Its key is the id of the cell that it adds.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import schedules
from bench.contract import Direction, InputError, Margin, Schedule, Setting, digest
from bench.ledger import ledger, paths, provenance
from bench.ledger.cell_row import CellRow, CellSettings, Result
from bench.ledger.ledger import Ledger
from bench.ledger.lines import Row
from bench.ledger.rows import AUDIT, AttemptRow, PlanRow, TaskFacts, last_plan, of_kind
from bench.plan.plan import updates
from schedules.schedule import curve, factors

NOTE = "recorded by bench.audit: loops outside Glideslope trained these cells and scored them"


@dataclass(frozen=True, kw_only=True)
class AuditedRun:
    """Settings of one run of somebody's training loop."""

    task: str
    strategy: str
    schedule: Schedule[Any] | None  # whose LRs the run should have; None if the strategy is a mere name
    peak_lr: float
    seed: int
    epochs: float  # the task's full budget
    epoch_steps: int
    budget: float  # fraction of it
    metric: str
    direction: Direction
    optimizer: str
    weight_decay: float | None
    reference: str
    margin: float | None
    test_size: int | None

    @property
    def total(self) -> int:
        """Number of updates."""
        return updates(self.epochs, self.budget, self.epoch_steps)

    @cached_property
    def settings(self) -> list[Setting] | None:
        """Settings of its schedule at each update; None for a mere name, or a schedule that depends on losses."""
        if self.schedule is None or self.schedule.needs:
            return None
        return factors(self.schedule, self.total, self.epoch_steps, self.peak_lr)

    @property
    def id(self) -> str:
        """Digest of what tells the run from others of the folder."""
        setting = [self.task, self.strategy, self.optimizer, self.weight_decay, self.peak_lr, self.total, self.seed]
        return digest(json.dumps([AUDIT, *setting]))

    def cell(self, result: Result) -> CellRow:
        """The row of its cell."""
        settings = CellSettings(
            cell=self.id,
            task=self.task,
            family=AUDIT,
            schedule=self.strategy,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            peak_lr=self.peak_lr,
            budget=self.budget,
            epochs=self.epochs * self.budget,
            total=self.total,
            seed=self.seed,
            data=None,
            cohort=self.id,
            engine=AUDIT,
            segment=0,
        )
        return CellRow(settings, result)

    def facts(self) -> TaskFacts:
        """Facts of its task, as far as this run tells them."""
        return TaskFacts(
            family=AUDIT,
            metric=self.metric,
            direction=self.direction,
            baseline=None,
            epochs=self.epochs,
            epoch_steps=self.epoch_steps,
            eval_epochs=None,
            batch_size=None,
            source="a training loop outside Glideslope",
            chance="",
            digest=None,
            sizes={} if self.test_size is None else {"test": self.test_size},
            layers=AUDIT,
            engine=AUDIT,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            optimizers=[self.optimizer],
            seeds=[self.seed],
            budgets=[self.budget],
            peak_lrs=[self.peak_lr],
            schedules=[self.strategy],
            margin=None if self.margin is None else Margin(self.margin, "as its loop states"),
        )


def declare(directory: Path, run: AuditedRun) -> None:
    """Write the plan with this run, unless it was declared before and has not ended.

    Raises:
        InputError: the folder holds cells that Glideslope trained, this run, or other facts of its task.
    """
    _check(directory, run, _recorded(directory))  # before anything is written
    book = opened(directory)
    with _alone(directory):
        rows = _recorded(directory)
        _check(directory, run, rows)
        plans = of_kind(rows, PlanRow)
        if run.id not in plans:
            last = last_plan(plans) if plans else None
            book.append(PlanRow.kind, run.id, _extended(run, last, len(plans) + 1).payload())
    book.close()


def record(directory: Path, run: AuditedRun, result: Result) -> None:
    """Append the row of a run that has ended."""
    book = opened(directory)
    book.append(CellRow.kind, run.id, run.cell(result).payload())
    book.close()


def opened(directory: Path) -> Ledger:
    """The ledger, with this process as the attempt. On which device the loop runs is not known here."""
    return Ledger(directory, _attempt())


@cache
def _attempt() -> AttemptRow:
    """Provenance of this process, for all its runs."""
    return replace(provenance.describe(AUDIT, "cpu", 0), device="not told")


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other loops that begin in the same folder out."""
    with paths.audit_lock(directory).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _recorded(directory: Path) -> list[Row]:
    """Rows of the plans and cells of a folder, which may be new."""
    return ledger.read(directory, kinds=(PlanRow.kind, CellRow.kind)) if paths.parts(directory) else []


def _check(directory: Path, run: AuditedRun, rows: Sequence[Row]) -> None:
    if not (plans := of_kind(rows, PlanRow)):
        return
    last = last_plan(plans)
    if not all(facts.engine == AUDIT for facts in last.tasks.values()):
        raise InputError(f"{directory} holds cells that Glideslope trained: an audit needs a folder of its own")
    if any(row.kind == CellRow.kind and row.key == run.id for row in rows):
        raise InputError(
            f"{directory} holds this run already ({run.task}, {run.strategy}, peak LR {run.peak_lr:g}, "
            f"{run.total:,} updates, seed {run.seed}): give another seed or folder"
        )
    if last.reference != run.reference:
        raise InputError(f"{directory} was begun with {last.reference} as the reference, not {run.reference}")
    if (facts := last.tasks.get(run.task)) is None:
        return
    for name in ("metric", "direction", "epochs", "epoch_steps", "margin", "sizes"):
        before, now = getattr(facts, name), getattr(run.facts(), name)
        if before != now:
            raise InputError(f"{directory} has {run.task} with {name} {before}, not {now}: give it a folder of its own")


def _extended(run: AuditedRun, last: PlanRow | None, cells: int) -> PlanRow:
    """The plan of all runs so far and this one."""
    own, past = run.facts(), {} if last is None else last.tasks
    curves = {} if last is None else dict(last.curves)
    if run.settings is not None:
        curves.setdefault(run.strategy, curve(run.settings))
    return PlanRow(
        suite=AUDIT,
        plan=run.id,
        reference=run.reference,
        cells=cells,
        cohorts=0,
        cell_steps=0,
        looks=0,
        optimum=0,
        split_loss=0,
        notes=[NOTE],
        tasks={**past, run.task: _joined(past[run.task], own) if run.task in past else own},
        curves=curves,
        extends=None if last is None else last.plan,
    )


def _joined(past: TaskFacts, own: TaskFacts) -> TaskFacts:
    lists: dict[str, list[object]] = {
        name: sorted({*getattr(past, name), *getattr(own, name)}) for name in ("seeds", "budgets", "peak_lrs")
    }
    for name in ("schedules", "optimizers"):
        lists[name] = list(dict.fromkeys([*(getattr(past, name) or []), *(getattr(own, name) or [])]))
    return replace(past, **lists)  # type: ignore[arg-type]  # the same fields


def canonical(strategy: str, check: bool) -> tuple[str, Schedule[Any] | None]:
    """The strategy's text and, with `check`, its schedule.

    Raises:
        InputError: no schedule, or a name that tables cannot show.
    """
    if check:
        try:
            schedule = schedules.parse(strategy)
        except InputError as error:
            raise InputError(f"strategy: {error}; check=False takes any name, and checks no LR") from None
        return schedule.text, schedule
    if not strategy.strip() or "\n" in strategy or " with " in strategy:
        raise InputError(f"strategy {strategy!r}: give a name of one line, without ' with '")
    return strategy, None


def scores(run: AuditedRun, values: Mapping[str, float]) -> dict[str, float]:
    """Final scores as plain numbers.

    Raises:
        InputError: the metric is not among them.
    """
    if run.metric not in values:
        raise InputError(f"final({', '.join(values)}): give the metric of {run.task}, final({run.metric}=...)")
    return {name: float(value) for name, value in values.items()}
