"""A study: the rows of a ledger, arranged for comparison. Nothing is judged here, and nothing dropped quietly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from bench.contract import InputError

Payload = Mapping[str, Any]


class Try(NamedTuple):
    """One recorded cell. Values are of the task's headline metric; `final` is None when the run diverged."""

    task: str
    strategy: str
    budget: float
    peak_lr: float
    seed: int
    total: int
    epochs: float
    ride: tuple[str, int, int]  # (cohort, segment, total): equal rides are one run
    control: float | None
    final: float | None
    best: float | None  # test at the epoch of the best control value
    best_epoch: float | None
    recalibrated: float | None  # test after BatchNorm statistics are computed anew


@dataclass(frozen=True)
class Study:
    """The rows of one ledger. Strategies and tasks stand in the order of the plan, tries sorted."""

    plan: Payload
    tries: tuple[Try, ...]
    failed: tuple[Payload, ...]  # cells that ended in an error: they count as missing
    evals: tuple[Payload, ...]
    cohorts: tuple[Payload, ...]
    attempts: tuple[Payload, ...]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Study:
        """Arrange rows. Their order does not matter: the same rows in any order give the same study.

        Raises:
            InputError: no `plan` row, so nothing says what the numbers mean.
        """
        by_kind: dict[str, list[Payload]] = {}
        for row in sorted(rows, key=lambda r: (r["kind"], r["key"])):
            by_kind.setdefault(row["kind"], []).append(row["payload"])
        if not by_kind.get("plan"):
            raise InputError("the ledger holds no plan row, so metric and grid are unknown: run its command again")
        plan = by_kind["plan"][-1]
        cells = [c for c in by_kind.get("cell", []) if c["task"] in plan["tasks"]]
        judged = [c for c in cells if c["status"] in ("done", "diverged")]
        name = _namer(cells)
        order = {text: i for i, text in enumerate(_strategies(plan, cells, name))}
        place = {task: i for i, task in enumerate(plan["tasks"])}
        tries = [_try(c, name(c), plan["tasks"][c["task"]]["metric"]) for c in judged]
        tries.sort(key=lambda t: (place[t.task], order[t.strategy], t.budget, t.peak_lr, t.seed))
        return cls(
            plan,
            tuple(tries),
            tuple(c for c in cells if c["status"] not in ("done", "diverged")),
            tuple(by_kind.get("eval", [])),
            tuple(by_kind.get("cohort", [])),
            tuple(sorted(by_kind.get("attempt", []), key=lambda a: str(a.get("time")))),
        )

    @property
    def tasks(self) -> Mapping[str, Payload]:
        """What the plan says of each task, by its text."""
        tasks: Mapping[str, Payload] = self.plan["tasks"]
        return tasks

    @property
    def finished(self) -> bool:
        """Whether every planned cell is there."""
        return len(self.tries) >= int(self.plan["cells"])

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """All strategies, in the order of the plan: one colour each, in every figure."""
        planned = [s for task in self.tasks.values() for s in task["schedules"]]
        seen = [t.strategy for t in self.tries]
        whole = {t.partition(SEPARATOR)[0] for t in seen if SEPARATOR in t}
        return tuple(dict.fromkeys([s for s in planned if s not in whole] + seen))

    @cached_property
    def blocks(self) -> dict[tuple[str, str, float], tuple[Try, ...]]:
        """Tries of each (task, strategy, budget), by ascending peak LR, then seed."""
        blocks: dict[tuple[str, str, float], list[Try]] = {}
        for it in self.tries:
            blocks.setdefault((it.task, it.strategy, it.budget), []).append(it)
        return {key: tuple(block) for key, block in blocks.items()}

    def planned(self, task: str) -> tuple[str, ...]:
        """Strategies of one task, in order."""
        mine = {t.strategy for t in self.tries if t.task == task}
        whole = {t.partition(SEPARATOR)[0] for t in mine if SEPARATOR in t}
        mine |= set(self.tasks[task]["schedules"]) - whole
        return tuple(s for s in self.strategies if s in mine)

    def savings(self) -> tuple[int, int]:
        """(cell-steps, looks) of the finished cohorts: updates if every cell trained alone, and updates done."""
        return sum(c["cell_steps"] for c in self.cohorts), sum(c["looks"] for c in self.cohorts)


SEPARATOR = " with "
