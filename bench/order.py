"""What the user asked for, and what it means: a suite with some choices becomes a plan. Nothing trains here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import schedules
import tasks
from bench import engine, suites
from bench.contract import InputError, Schedule, Task
from bench.engine import averaging
from bench.forecast import Forecast
from bench.plan import EngineName, Grid, Plan, build


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the user asked for; None leaves the suite's own."""

    suite: str = "core"
    out: Path | None = None
    tasks: str | None = None
    schedules: str | None = None
    budgets: tuple[float, ...] | None = None
    peak_lrs: tuple[float, ...] | None = None
    seeds: int | None = None
    engine: str = "auto"
    shard: tuple[int, int] = (0, 1)
    workers: int | None = None
    data_parallel: bool = False
    cadence: float = 30.0
    wandb: Literal["off", "offline", "online"] = "off"

    @property
    def directory(self) -> Path:
        return self.out or Path("runs") / Path(self.suite).stem


@dataclass(frozen=True)
class Prepared:
    """An order understood: the plan, and the objects that its texts name."""

    plan: Plan
    tasks: dict[str, Task]
    schedules: dict[str, Schedule[Any]]

    @cached_property
    def forecast(self) -> Forecast:
        return Forecast(self.plan, self.tasks, self.schedules)


def prepare(order: Order, device: str = "cpu") -> Prepared:
    """Understand an order; everything that can be wrong with it is found here, before training.

    Raises:
        InputError: one line that says what is wrong.
    """
    suite = suites.load(order.suite).where(
        tasks=None if order.tasks is None else [t.name for t in tasks.parse_list(order.tasks)],
        schedules=None if order.schedules is None else tuple(s.text for s in schedules.parse_list(order.schedules)),
        budgets=order.budgets,
        peak_lrs=order.peak_lrs,
        seeds=order.seeds,
    )
    known: dict[str, Task] = {}
    strategies: dict[str, Schedule[Any]] = {}

    def canonical(grid: Grid) -> Grid:
        task = tasks.parse(grid.task)
        known[task.name] = task
        named = [schedules.parse(text) for text in grid.schedules]
        strategies.update((s.text, s) for s in named)
        optimizer = engine.optim.parse(grid.optimizer or task.optimizer)
        read = tuple(averaging.parse(text).text for text in grid.averagings)
        if optimizer.averages and set(read) != {"none"}:
            raise InputError(f"{optimizer.name} is read by an average of its own: no averaging goes on top")
        named_as = tuple(s.text for s in named)
        return replace(grid, task=task.name, schedules=named_as, optimizer=optimizer.text, averagings=read)

    def chosen(task: Task, optimizer: str, cells: int) -> EngineName:
        return engine.choose(task, optimizer, cells, device, order.engine)

    suite = replace(suite, grids=tuple(map(canonical, suite.grids)))
    return Prepared(build(suite, known, chosen), known, strategies)
