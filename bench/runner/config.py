"""The configuration of a run, and the plan that follows from it. Nothing is trained here."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import schedules
import tasks
from bench import engine, suites
from bench.contract import Cell, InputError, Schedule, Task, Wandb
from bench.engine import dry_run, memory
from bench.ledger import ledger, paths
from bench.ledger.cell_row import CellRow
from bench.ledger.rows import AttemptRow, PlanRow
from bench.numerics import Arithmetic
from bench.plan import Grid, Suite, extension, limits
from bench.plan.forecast import Forecast
from bench.plan.packing import Assigned
from bench.plan.plan import WIDTH, EngineName, Plan, build
from bench.runner.distributed import ProcessGroup
from bench.strategies import averagings, optimizers
from tasks.data import dataset


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run as the user configures it; None keeps the setting of the suite."""

    suite: str = "core"
    out: Path | None = None
    tasks: str | None = None
    schedules: str | None = None
    optimizers: str | None = None
    averagings: str | None = None
    budgets: tuple[float, ...] | None = None
    peak_lrs: tuple[float, ...] | None = None
    seeds: int | None = None
    engine: str = "auto"
    shard: tuple[int, int] = (0, 1)
    assigned: Assigned | None = None
    workers: int | None = None
    data_parallel: bool = False
    precision: str | None = None  # None: as Accelerate is configured; the same holds for the next two
    accumulate: int | None = None
    backend: str | None = None
    width: int | None = None  # None: as wide as the memory of the machine that makes the plan allows
    cadence: float = 30.0  # seconds between checkpoints
    data: str | None = None
    extend: bool = False
    wandb: Wandb = "off"

    @property
    def directory(self) -> Path:
        return self.out or Path("runs") / Path(self.suite).stem

    @property
    def partial(self) -> bool:  # other processes train the rest
        return self.assigned is not None or self.shard != (0, 1)

    def part(self, plan: Plan) -> Plan:
        """The share of the plan that this process trains."""
        return self.assigned.of(plan) if self.assigned else plan.shard(*self.shard)


@dataclass(frozen=True)
class PreparedRun:
    """The plan of a configuration, with the tasks and schedules that its texts name."""

    plan: Plan
    tasks: dict[str, Task]
    schedules: dict[str, Schedule[Any]]
    whole: Plan  # with the cells that were recorded before it, where the plan extends others
    uncut: Callable[[], Plan]  # the whole in cohorts of any width
    past: tuple[extension.Past, ...] = ()

    @cached_property
    def forecast(self) -> Forecast:
        whole = Forecast(self.whole, self.tasks, self.schedules)
        whole.check_moves()  # of the whole plan, since a part of it may hold short budgets only
        return whole if self.plan is self.whole else Forecast(self.plan, self.tasks, self.schedules)

    def width(self, plan: str) -> int | None:
        """The least --width that gives the plan of this id; None if no width does."""
        uncut = self.uncut()
        widths = range(1, 1 + max(len(cohort.cells) for cohort in uncut.cohorts))
        return next((width for width in widths if uncut.cut(width).id == plan), None)

    def row(self) -> PlanRow:
        """The `plan` row."""
        own = self.forecast.row()
        if not self.plan.extends:
            return own
        before = next(past.row for past in self.past if past.key == self.plan.extends[-1])
        return extension.row(Forecast(self.whole, self.tasks, self.schedules).row(), before, own)


@dataclass(frozen=True)
class _Catalogue:
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
        """Refuse tasks and grids that would fail in training.

        Raises:
            InputError: one line that names the task and the error.
        """
        for task in self.tasks.values():
            dry_run.check(task)
            engine.check_parts(task, arithmetic)
        for grid in grids:
            limits.bounded(grid, self.tasks[grid.task])

    def fits(self, room: float, arithmetic: Arithmetic) -> Callable[[Task, Sequence[Cell], EngineName], int]:
        """A function that gives the number of a cohort's members that fit into `room` bytes."""
        parts = arithmetic.accumulate * arithmetic.processes

        def members(task: Task, cells: Sequence[Cell], name: EngineName) -> int:
            recalls = memory.needs_last_gradient(self.schedules[cell.schedule] for cell in cells)
            return memory.of_cohort(task, cells, name, parts=parts, recalls=recalls).members(room)

        return members


def prepare(config: RunConfig, group: ProcessGroup | None = None) -> PreparedRun:
    """Make the plan of a configuration. All errors in it are raised here, before training.

    Args:
        config: The configuration.
        group: The processes of the run; by default one process on a CPU of unlimited memory.

    Raises:
        InputError: one line that says what is wrong.
    """
    _check_writable(config.directory)
    if config.data is not None:
        dataset.use(config.data)
    suite = _load_suite(config)
    group = group or ProcessGroup()
    requested = {name: getattr(config, name) for name in ("precision", "accumulate", "backend")}
    arithmetic = group.arithmetic(config.data_parallel, **requested)
    catalogue = _Catalogue()

    def choose_engine(task: Task, optimizer: str, cells: int) -> EngineName:
        return engine.choose(task, optimizer, cells, config.engine, arithmetic)

    reference = schedules.parse(suite.reference).text
    suite = replace(suite, grids=tuple(map(catalogue.canonical, suite.grids)), reference=reference)
    catalogue.check(suite.grids, arithmetic)
    fits = None
    if not (config.width or config.assigned or group.memory is None):
        fits = catalogue.fits(group.memory / memory_shares(config, group), arithmetic)

    def build_plan(recorded: Collection[str] = ()) -> Plan:
        width = config.width or WIDTH
        return build(suite, catalogue.tasks, choose_engine, width=width, fits=fits, recorded=recorded).under(arithmetic)

    def uncut() -> Plan:
        return build(suite, catalogue.tasks, choose_engine, width=sys.maxsize).under(arithmetic)

    whole = build_plan()
    check_momentum(Forecast(whole, catalogue.tasks, catalogue.schedules))
    if not config.extend:
        return PreparedRun(whole, catalogue.tasks, catalogue.schedules, whole, uncut)
    read = (PlanRow.kind, AttemptRow.kind, CellRow.kind)
    past = extension.lineage(ledger.read(config.directory, kinds=read)) if paths.parts(config.directory) else []
    plan = extension.extend(whole, past, build_plan)
    return PreparedRun(plan, catalogue.tasks, catalogue.schedules, whole, uncut, tuple(past))


def _load_suite(config: RunConfig) -> Suite:
    """The suite of a configuration, with the settings that replace its own.

    Raises:
        InputError: optimizers that a task's peak LRs are not made for.
    """
    suite = suites.load(config.suite).where(
        tasks=None if config.tasks is None else [t.name for t in tasks.parse_list(config.tasks)],
        schedules=None if config.schedules is None else tuple(s.text for s in schedules.parse_list(config.schedules)),
        optimizers=None if config.optimizers is None else [o.text for o in optimizers.parse_list(config.optimizers)],
        averagings=None
        if config.averagings is None
        else tuple(a.text for a in averagings.parse_list(config.averagings)),
        budgets=config.budgets,
        peak_lrs=config.peak_lrs,
        seeds=config.seeds,
    )
    for grid in suite.grids if config.optimizers is not None else ():
        task, optimizer = tasks.parse(grid.task), optimizers.parse(grid.optimizer or "")
        if grid.peak_lrs is None and optimizer.name != optimizers.parse(task.optimizer).name:
            raise InputError(f"{optimizer.name} on {task.name}: its peak LRs are for {task.optimizer}; give --peak-lrs")
    return suite


def memory_shares(config: RunConfig, group: ProcessGroup) -> float:
    """Number of workers that share `group.memory`, which is a whole GPU's, or the share of one core of a CPU."""
    if config.data_parallel or config.workers is None:
        return 1.0
    return max(1.0, config.workers / (1 if group.device.startswith("cuda") else group.cores))


def check_momentum(forecast: Forecast) -> None:
    """Refuse schedules that set the momentum of optimizers that have none.

    Raises:
        InputError: one line that names every such pair.
    """
    unsteered = {c.optimizer: optimizers.parse(c.optimizer).unsteered() for c in forecast.plan.cells}
    pairs = {(c.schedule, c.optimizer): c for c in forecast.plan.cells if unsteered[c.optimizer]}
    if wrong := [pair for pair, cell in pairs.items() if forecast.sets_momentum(cell)]:
        reasons = "; ".join(f"{schedule} sets the momentum, {unsteered[optimizer]}" for schedule, optimizer in wrong)
        raise InputError(
            f"{reasons}: give it momentum=False, or cycle_momentum=False in torch's own, or take another optimizer"
        )


def _check_writable(directory: Path) -> None:
    """Check that a run's directory can be created and written, without creating it.

    Raises:
        InputError: one line that says why not.
    """
    ancestor = next(path for path in (directory, *directory.parents) if path.exists() or path.is_symlink())
    if not ancestor.is_dir():
        raise InputError(f"cannot write to {directory}: {ancestor} is no folder")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {directory}: {os.strerror(errno.EACCES)}")
