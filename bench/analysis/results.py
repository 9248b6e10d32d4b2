"""A study: the rows of a ledger, arranged for comparison. Nothing is judged or silently dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from bench.analysis.history import Histories
from bench.contract import InputError
from bench.ledger.cell_row import CellRow, CellSettings, Done, Failed, Publication
from bench.ledger.lines import Row
from bench.ledger.rows import (
    AUDIT,
    AttemptRow,
    CohortRow,
    EvalRow,
    FailureRow,
    PlanRow,
    TaskFacts,
    last_plan,
    of_code,
    of_kind,
)

KINDS = tuple(kind.kind for kind in (PlanRow, AttemptRow, CellRow, CohortRow, FailureRow, EvalRow))
"""Kinds of rows that a study consists of."""

SEPARATOR = " with "
"""Between the schedule and what else is not usual in a strategy's name."""

REFERENCE = "constant"
"""Reference where the plan's row declares none, as in ledgers from before there was such a field."""


class Try(NamedTuple):
    """One recorded cell. Values are of the task's headline metric; `final` is None when the run diverged or failed."""

    task: str
    strategy: str
    budget: float
    peak_lr: float
    seed: int
    total: int
    epochs: float
    ride: tuple[str, int, int, str]  # (cohort, segment, total, averaging): equal rides are one run
    control: float | None = None
    final: float | None = None
    best: float | None = None  # test at the epoch of the best control value
    best_epoch: float | None = None
    recalibrated: float | None = None  # final test with recalibrated BatchNorm statistics
    recalibrated_loss: float | None = None  # the same of the test loss
    reference: bool = False  # true for the strategy that the others are tested against
    error: str | None = None  # of a cell whose schedule failed
    optimizer: str = ""
    secondary: tuple[tuple[str, float], ...] = ()  # the final test values of the task's other metrics, by name
    cell: str = ""  # its id


@dataclass(frozen=True)
class Study:
    """The rows of one ledger. Strategies and tasks stand in the order of the plan, tries sorted."""

    plan: PlanRow
    tries: tuple[Try, ...]
    cohorts: tuple[CohortRow, ...]
    attempts: tuple[AttemptRow, ...]
    failures: tuple[FailureRow, ...] = ()  # of cohorts that are not done: the last one of each
    evals: tuple[EvalRow, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Row], usual: Mapping[str, TaskFacts] = MappingProxyType({})) -> Study:
        """Arrange rows. Their order does not matter: the same rows in any order give the same study.

        Names of strategies leave out the usual settings of a task: those of this plan, or in `usual` of another one,
        so that names are the same in both.

        Raises:
            InputError: there is no `plan` row, so metric and grid are unknown.
        """
        rows = sorted(rows, key=lambda row: (row.kind, row.key))
        plans = of_kind(rows, PlanRow)
        if not plans:
            raise InputError("the ledger holds no plan row, so metric and grid are unknown: run its command again")
        plan = last_plan(plans)
        cells = [cell for cell in of_kind(rows, CellRow).values() if cell.settings.task in plan.tasks]
        cells = [cell for cell in cells if of_code(plan, cell.settings)]  # the others ran older code of the task
        facts = plan.tasks | dict(usual)
        tries = [_try(cell, strategy_name(cell.settings, facts[cell.settings.task]), plan) for cell in cells]
        task, strategy = _places(plan.tasks), _order(plan)
        tries.sort(key=lambda t: (task[t.task], strategy(t.strategy), t.budget, t.peak_lr, t.seed))
        attempts = sorted(of_kind(rows, AttemptRow).values(), key=lambda attempt: str(attempt.time))
        cohorts = [cohort for cohort in of_kind(rows, CohortRow).values() if of_code(plan, cohort)]
        failures = {failure.cohort: failure for failure in of_kind(rows, FailureRow).values() if of_code(plan, failure)}
        for cohort in cohorts:
            failures.pop(cohort.cohort, None)
        evals = of_kind(rows, EvalRow).values()
        return cls(plan, tuple(tries), tuple(cohorts), tuple(attempts), tuple(failures.values()), tuple(evals))

    @property
    def tasks(self) -> Mapping[str, TaskFacts]:
        """Facts of each task in the plan, by its text."""
        return self.plan.tasks

    @property
    def reference(self) -> str:
        """The schedule, declared before the run, that the others are tested against."""
        return self.plan.reference or REFERENCE

    @property
    def declared(self) -> bool:
        """True if the plan's row names the reference, so that it was fixed before the first result."""
        return self.plan.reference is not None and not self.published

    @property
    def published(self) -> Publication | None:
        """Source, citation and licence of other people's runs; None where these are our own."""
        return self.plan.published

    @property
    def audited(self) -> bool:
        """True if loops outside Glideslope trained the cells."""
        return any(facts.engine == AUDIT for facts in self.tasks.values())

    @property
    def missing(self) -> int:
        """Number of planned cells without a row: not trained yet, or their cohort failed."""
        return max(0, self.plan.cells - len(self.tries))

    @cached_property
    def blocks(self) -> dict[tuple[str, float, str], tuple[Try, ...]]:
        """Tries of each (task, budget, strategy), by ascending peak LR, then seed."""
        blocks: dict[tuple[str, float, str], list[Try]] = {}
        for t in self.tries:
            blocks.setdefault((t.task, t.budget, t.strategy), []).append(t)
        return {key: tuple(block) for key, block in blocks.items()}

    @cached_property
    def courses(self) -> Histories:
        """Training courses of the members."""
        return Histories(self.evals)

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """Strategies of all tasks, in the order of the plan. Each has one colour in all figures."""
        return tuple(sorted({s for task in self.tasks for s in self.of_task(task)}, key=_order(self.plan)))

    def of_task(self, task: str) -> tuple[str, ...]:
        """Strategies of one task, recorded or only planned, in order."""
        recorded = {t.strategy for t in self.tries if t.task == task}
        planned = set(self.tasks[task].schedules) - {schedule_of(s) for s in recorded}
        return tuple(sorted(recorded | planned, key=_order(self.plan)))

    def peak_lrs(self, task: str) -> int:
        """Largest number of peak LRs that a strategy of a task was tried at; optimizers may have different grids."""
        tried: dict[str, set[float]] = {}
        for t in self.tries:
            if t.task == task:
                tried.setdefault(t.strategy, set()).add(t.peak_lr)
        return max(map(len, tried.values()), default=len(self.tasks[task].peak_lrs))

    def budgets(self, task: str) -> tuple[float, ...]:
        """Budgets of one task, ascending; the last one is the largest that was planned."""
        return tuple(sorted(self.tasks[task].budgets))


def schedule_of(strategy: str) -> str:
    """The schedule in a strategy's name."""
    return strategy.partition(SEPARATOR)[0]


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(dict.fromkeys(names))}


def _order(plan: PlanRow) -> Callable[[str], tuple[int, str]]:
    """Sort key of strategies: the schedule's place in the plan, then the name."""
    place = _places(schedule for facts in plan.tasks.values() for schedule in facts.schedules)
    return lambda strategy: (place.get(schedule_of(strategy), len(place)), strategy)


def strategy_name(cell: CellSettings, usual: TaskFacts) -> str:
    """Name of a cell's strategy: the schedule, and whatever else is not its task's usual setting."""
    more = [cell.optimizer] * (cell.optimizer != usual.optimizer)
    if cell.weight_decay is not None and cell.weight_decay != usual.weight_decay:
        more.append(f"weight decay {cell.weight_decay:g}")
    more += [cell.averaging] * (cell.averaging != "none")
    return cell.schedule + (SEPARATOR + ", ".join(more) if more else "")


def _try(cell: CellRow, strategy: str, plan: PlanRow) -> Try:
    settings, result, facts = cell.settings, cell.result, plan.tasks[cell.settings.task]
    unfinished = Try(
        task=settings.task,
        strategy=strategy,
        budget=settings.budget,
        peak_lr=settings.peak_lr,
        seed=settings.seed,
        total=settings.total,
        epochs=settings.epochs,
        ride=(settings.cohort, settings.segment, settings.total, settings.averaging),
        reference=strategy_name(settings, facts) == (plan.reference or REFERENCE),
        error=result.error if isinstance(result, Failed) else None,
        optimizer=settings.optimizer,
        cell=settings.cell,
    )
    if not isinstance(result, Done):
        return unfinished
    return unfinished._replace(
        control=result.control[facts.metric],
        final=result.final[facts.metric],
        best=result.best and result.best.test,  # a published run has its end only
        best_epoch=result.best and result.best.epoch,
        recalibrated=result.recalibrated[facts.metric] if result.recalibrated else None,
        recalibrated_loss=result.recalibrated.get("loss") if result.recalibrated else None,
        secondary=tuple((name, score) for name, score in result.final.items() if name not in (facts.metric, "loss")),
    )
