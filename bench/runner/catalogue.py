"""The tasks and schedules that the texts of a suite name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import schedules
import tasks
from bench import engine
from bench.contract import Cell, EngineName, InputError, Schedule, Task
from bench.engine import dry_run, memory
from bench.engine.dry_run import engines
from bench.engine.dry_run import optimizer as trial
from bench.numerics import Arithmetic
from bench.plan import Grid, limits
from bench.plan.plan import Plan
from bench.strategies import averagings, optimizers, own_optimizers


@dataclass(frozen=True)
class Catalogue:
    """The tasks and schedules that the texts of a suite name, collected while these become canonical."""

    tasks: dict[str, Task] = field(default_factory=dict)
    schedules: dict[str, Schedule[Any]] = field(default_factory=dict)

    def canonical(self, grid: Grid) -> Grid:
        """The grid with canonical texts.

        Raises:
            InputError: a text that names nothing, or an averaging on an optimizer that averages.
        """
        task = tasks.parse(grid.task)
        self.tasks[task.name] = task
        grid_schedules = [schedules.parse(text) for text in grid.schedules]
        self.schedules.update((s.text, s) for s in grid_schedules)
        optimizer = optimizers.parse(grid.optimizer or task.optimizer)
        grid_averagings = tuple(averagings.parse(text).text for text in grid.averagings)
        if optimizer.averages and set(grid_averagings) != {"none"}:
            raise InputError(f"{optimizer.name} is read by an average of its own: no averaging goes on top")
        texts = tuple(s.text for s in grid_schedules)
        return replace(grid, task=task.name, schedules=texts, optimizer=optimizer.text, averagings=grid_averagings)

    def check(self, grids: Iterable[Grid], arithmetic: Arithmetic) -> None:
        """Refuse tasks, grids and optimizers that would fail in training.

        Raises:
            InputError: one line that names the task and the error.
        """
        for task in self.tasks.values():
            dry_run.check(task)
            engine.check_parts(task, arithmetic)
        for grid in grids:
            task = self.tasks[grid.task]
            limits.bounded(grid, task)
            self._try_optimizer(task, grid)

    def _try_optimizer(self, task: Task, grid: Grid) -> None:
        optimizer = optimizers.parse(grid.optimizer or task.optimizer)
        if isinstance(optimizer, own_optimizers.OutsideOptimizer):
            decay = task.weight_decay if grid.weight_decay is None else grid.weight_decay
            trial.check(optimizer.text, decay > 0)
        if optimizer.measured:
            memory.slots_on(task, optimizer.text)

    def try_engines(self, plan: Plan, device: str) -> None:
        """Refuse tasks of the user's that an engine of a plan cannot train as it should.

        Raises:
            InputError: one line that names the task and the rule that it breaks.
        """
        own = (cohort for cohort in plan.cohorts if self.tasks[cohort.task].outside)
        kinds = {(cohort.task, cohort.engine, cohort.cells[0].optimizer): cohort for cohort in own}
        for cohort in kinds.values():
            engines.check(self.tasks[cohort.task], cohort, device)

    def fits(
        self, room: float, arithmetic: Arithmetic, device: str
    ) -> Callable[[Task, Sequence[Cell], EngineName], int]:
        """A function that gives the number of a cohort's members that fit into `room` bytes of a device."""
        parts = arithmetic.accumulate * arithmetic.processes

        def members(task: Task, cells: Sequence[Cell], name: EngineName) -> int:
            recalls = memory.needs_last_gradient(self.schedules[cell.schedule] for cell in cells)
            demand = memory.of_cohort(task, cells, name, parts=parts, recalls=recalls, device=device)
            return demand.members(room)

        return members
