"""A study: the rows of a ledger, arranged for comparison. Nothing is judged here, and nothing dropped quietly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from bench.contract import InputError

Payload = Mapping[str, Any]

SEPARATOR = " with "
"""Between schedule and optimizer or averaging in a strategy's name, where a task was run with several of them."""


class Try(NamedTuple):
    """One recorded cell. Values are of the task's headline metric; `final` is None when the run diverged."""

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
    plain: bool = True  # the task's first optimizer, and no averaging


@dataclass(frozen=True)
class Study:
    """The rows of one ledger. Strategies and tasks stand in the order of the plan, tries sorted."""

    plan: Payload
    tries: tuple[Try, ...]
    cohorts: tuple[Payload, ...]
    attempts: tuple[Payload, ...]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Study:
        """Arrange rows. Their order does not matter: the same rows in any order give the same study.

        Raises:
            InputError: no `plan` row, so nothing says what the numbers mean.
        """
        kinds: dict[str, list[Payload]] = {}
        for row in sorted(rows, key=lambda r: (r["kind"], r["key"])):
            kinds.setdefault(row["kind"], []).append(row["payload"])
        if "plan" not in kinds:
            raise InputError("the ledger holds no plan row, so metric and grid are unknown: run its command again")
        plan = kinds["plan"][-1]
        cells = [c for c in kinds.get("cell", []) if c["task"] in plan["tasks"]]
        name = namer(cells)
        tries = [_try(c, name(c), plan["tasks"][c["task"]]) for c in cells]
        task, strategy = _places(plan["tasks"]), _order(plan)
        tries.sort(key=lambda t: (task[t.task], strategy(t.strategy), t.budget, t.peak_lr, t.seed))
        attempts = sorted(kinds.get("attempt", []), key=lambda a: str(a.get("time")))
        return cls(plan, tuple(tries), tuple(kinds.get("cohort", [])), tuple(attempts))

    @property
    def tasks(self) -> Mapping[str, Payload]:
        """What the plan says of each task, by its text."""
        tasks: Mapping[str, Payload] = self.plan["tasks"]
        return tasks

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
        more += [f"weight decay {cell['weight_decay']:g}"] * (len(decays) > 1)
        more += [cell["averaging"]] if "averaging" in cell else []
        return str(cell["schedule"]) + (SEPARATOR + ", ".join(more) if more else "")

    return name


def _try(cell: Payload, strategy: str, task: Payload) -> Try:
    metric, averaging = task["metric"], cell.get("averaging", "none")
    ride = (cell["cohort"], cell["segment"], cell["total"], averaging)
    settings = (cell["budget"], cell["peak_lr"], cell["seed"], cell["total"], cell["epochs"])
    plain = averaging == "none" and cell["optimizer"] == task["optimizer"]
    it = Try(cell["task"], strategy, *settings, ride, plain=plain)
    if cell["status"] != "done":
        return it
    anew, best = cell["recalibrated"], cell["best"]
    return it._replace(
        control=cell["control"][metric],
        final=cell["final"][metric],
        best=best["test"],
        best_epoch=best["epoch"],
        recalibrated=anew and anew[metric],
    )
