"""A study: the rows of a ledger, arranged for comparison. Nothing is judged here, and nothing dropped quietly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from bench.analysis.history import Courses
from bench.contract import InputError
from bench.ledger.rows import of_code, standing

Payload = Mapping[str, Any]

KINDS = ("plan", "attempt", "cell", "cohort", "failure", "eval")
"""Kinds of rows that a study is made of."""

SEPARATOR = " with "
"""Between schedule and optimizer or averaging in a strategy's name, where a task was run with several of them."""


REFERENCE = "constant"
"""What the others are tested against, where the plan's row (one from before it was asked for) declares nothing."""


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
    recalibrated: float | None = None  # final test after BatchNorm statistics are computed anew
    reference: bool = False  # of the strategy that the others are tested against
    error: str | None = None  # of a cell whose schedule failed
    optimizer: str = ""


@dataclass(frozen=True)
class Study:
    """The rows of one ledger. Strategies and tasks stand in the order of the plan, tries sorted."""

    plan: Payload
    tries: tuple[Try, ...]
    cohorts: tuple[Payload, ...]
    attempts: tuple[Payload, ...]
    failures: tuple[Payload, ...] = ()  # of cohorts that are not done: the last one of each
    evals: tuple[Payload, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], beside: Sequence[Payload] = ()) -> Study:
        """Arrange rows. Their order does not matter: the same rows in any order give the same study.

        Names of strategies tell apart what was run here, and in the cells of another study that this stands `beside`.

        Raises:
            InputError: no `plan` row, so nothing says what the numbers mean.
        """
        kinds: dict[str, list[Payload]] = {}
        ordered = sorted(rows, key=lambda r: (r["kind"], r["key"]))
        for row in ordered:
            kinds.setdefault(row["kind"], []).append(row["payload"])
        if "plan" not in kinds:
            raise InputError("the ledger holds no plan row, so metric and grid are unknown: run its command again")
        plan = standing(row for row in ordered if row["kind"] == "plan")["payload"]
        cells = [c for c in kinds.get("cell", []) if c["task"] in plan["tasks"]]
        cells = [c for c in cells if of_code(plan, c)]  # others are of code that the task no longer has
        name = namer([*cells, *beside])
        tries = [_try(c, name(c), plan["tasks"][c["task"]], plan.get("reference", REFERENCE)) for c in cells]
        task, strategy = _places(plan["tasks"]), _order(plan)
        tries.sort(key=lambda t: (task[t.task], strategy(t.strategy), t.budget, t.peak_lr, t.seed))
        attempts = sorted(kinds.get("attempt", []), key=lambda a: str(a.get("time")))
        cohorts = [it for it in kinds.get("cohort", []) if of_code(plan, it)]
        failures = {it["cohort"]: it for it in kinds.get("failure", []) if of_code(plan, it)}
        for cohort in cohorts:
            failures.pop(cohort["cohort"], None)
        evals = kinds.get("eval", [])
        return cls(plan, tuple(tries), tuple(cohorts), tuple(attempts), tuple(failures.values()), tuple(evals))

    @property
    def tasks(self) -> Mapping[str, Payload]:
        """What the plan says of each task, by its text."""
        tasks: Mapping[str, Payload] = self.plan["tasks"]
        return tasks

    @property
    def reference(self) -> str:
        """The schedule that was declared before the run as what the others are tested against."""
        return str(self.plan.get("reference", REFERENCE))

    @property
    def declared(self) -> bool:
        """Whether the plan's row names the reference, so that it stood before the first result."""
        return "reference" in self.plan and not self.published

    @property
    def published(self) -> Payload:
        """Source, citation and licence of other people's runs; empty where these are our own."""
        about: Payload = self.plan.get("published", {})
        return about

    @property
    def missing(self) -> int:
        """Planned cells without a row: not trained yet, or their cohort failed."""
        return max(0, int(self.plan["cells"]) - len(self.tries))

    @cached_property
    def blocks(self) -> dict[tuple[str, float, str], tuple[Try, ...]]:
        """Tries of each (task, budget, strategy), by ascending peak LR, then seed."""
        blocks: dict[tuple[str, float, str], list[Try]] = {}
        for it in self.tries:
            blocks.setdefault((it.task, it.budget, it.strategy), []).append(it)
        return {key: tuple(block) for key, block in blocks.items()}

    @cached_property
    def courses(self) -> Courses:
        """What the members went through."""
        return Courses(self.evals)

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """All strategies, in the order of the plan: one colour each, in every figure."""
        return tuple(sorted({s for task in self.tasks for s in self.of_task(task)}, key=_order(self.plan)))

    def of_task(self, task: str) -> tuple[str, ...]:
        """Strategies of one task, recorded or only planned, in order."""
        seen = {t.strategy for t in self.tries if t.task == task}
        unseen = set(self.tasks[task]["schedules"]) - {schedule_of(s) for s in seen}
        return tuple(sorted(seen | unseen, key=_order(self.plan)))

    def peak_lrs(self, task: str) -> int:
        """How many peak LRs each strategy of a task was tried at, at most; optimizers may have different ones."""
        tried: dict[str, set[float]] = {}
        for it in self.tries:
            if it.task == task:
                tried.setdefault(it.strategy, set()).add(it.peak_lr)
        return max(map(len, tried.values()), default=len(self.tasks[task]["peak_lrs"]))

    def budgets(self, task: str) -> tuple[float, ...]:
        """Budgets of one task, ascending; the last one is the largest that was planned."""
        return tuple(sorted(self.tasks[task]["budgets"]))


def schedule_of(strategy: str) -> str:
    """The schedule in a strategy's name."""
    return strategy.partition(SEPARATOR)[0]


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(dict.fromkeys(names))}


def _order(plan: Payload) -> Callable[[str], tuple[int, str]]:
    """Sort key of strategies: the schedule's place in the plan, then the name."""
    place = _places(s for task in plan["tasks"].values() for s in task["schedules"])
    return lambda strategy: (place.get(schedule_of(strategy), len(place)), strategy)


def namer(cells: Sequence[Payload]) -> Callable[[Payload], str]:
    """Name of a cell's strategy: its schedule, and what else differs between `cells`, those of its task."""
    seen: dict[str, tuple[set[str], set[float]]] = {}
    for cell in cells:
        optimizers, decays = seen.setdefault(cell["task"], (set(), set()))
        optimizers.add(cell["optimizer"])
        decays.add(cell["weight_decay"])

    def name(cell: Payload) -> str:
        optimizers, decays = seen[cell["task"]]
        more = [cell["optimizer"]] * (len(optimizers) > 1)
        more += [f"weight decay {cell['weight_decay']:g}"] if len(decays) > 1 else []
        more += [cell["averaging"]] if "averaging" in cell else []
        return str(cell["schedule"]) + (SEPARATOR + ", ".join(more) if more else "")

    return name


def _try(cell: Payload, strategy: str, task: Payload, reference: str) -> Try:
    metric, averaging = task["metric"], cell.get("averaging", "none")
    ride = (cell["cohort"], cell["segment"], cell["total"], averaging)
    settings = (cell["budget"], cell["peak_lr"], cell["seed"], cell["total"], cell["epochs"])
    usual = (reference, task["optimizer"], task["weight_decay"], "none")
    is_reference = (cell["schedule"], cell["optimizer"], cell["weight_decay"], averaging) == usual
    it = Try(
        cell["task"],
        strategy,
        *settings,
        ride,
        reference=is_reference,
        error=cell.get("error"),
        optimizer=cell["optimizer"],
    )
    if cell["status"] != "done":
        return it
    anew, best = cell["recalibrated"], cell["best"] or {"test": None, "epoch": None}  # a published run has its end only
    return it._replace(
        control=cell["control"][metric],
        final=cell["final"][metric],
        best=best["test"],
        best_epoch=best["epoch"],
        recalibrated=anew and anew[metric],
    )
