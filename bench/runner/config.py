"""What the user asked for, and what it means: a suite with some choices becomes a plan. Nothing trains here."""

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
from bench.plan import Grid, extension, limits
from bench.plan.forecast import Forecast
from bench.plan.packing import Assigned
from bench.plan.plan import WIDTH, EngineName, Plan, build
from bench.runner.distributed import ProcessGroup
from bench.strategies import averagings, optimizers
from tasks.data import dataset


@dataclass(frozen=True, kw_only=True)
class RunConfig:
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
    assigned: Assigned | None = None
    workers: int | None = None
    data_parallel: bool = False
    precision: str | None = None  # None: as accelerate is configured; so are the next two
    accumulate: int | None = None
    backend: str | None = None
    width: int | None = None  # None: as wide as memory allows where the plan is made, which an array task can't know
    cadence: float = 30.0
    data: str | None = None
    extend: bool = False
    wandb: Wandb = "off"

    @property
    def directory(self) -> Path:
        return self.out or Path("runs") / Path(self.suite).stem

    @property
    def partial(self) -> bool:  # another process does the rest
        return self.assigned is not None or self.shard != (0, 1)

    def part(self, plan: Plan) -> Plan:
        """What of the plan is to be done here."""
        return self.assigned.of(plan) if self.assigned else plan.shard(*self.shard)


@dataclass(frozen=True)
class PreparedRun:
    """An order understood: the plan, and the objects that its texts name."""

    plan: Plan
    tasks: dict[str, Task]
    schedules: dict[str, Schedule[Any]]
    whole: Plan  # with the cells that were recorded before it, where the plan extends others
    uncut: Callable[[], Plan]  # the whole in cohorts of any width
    past: tuple[extension.Past, ...] = ()

    @cached_property
    def forecast(self) -> Forecast:
        whole = Forecast(self.whole, self.tasks, self.schedules)
        whole.check_moves()  # a share of the plan may hold the short budgets only
        return whole if self.plan is self.whole else Forecast(self.plan, self.tasks, self.schedules)

    def width(self, plan: str) -> int | None:
        """The least --width by which this order makes the plan of that id; None if by none."""
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
class _Named:
    """The objects that the texts of a suite name, gathered as its texts become canonical."""

    tasks: dict[str, Task] = field(default_factory=dict)
    schedules: dict[str, Schedule[Any]] = field(default_factory=dict)

    def canonical(self, grid: Grid) -> Grid:
        task = tasks.parse(grid.task)
        self.tasks[task.name] = task
        named = [schedules.parse(text) for text in grid.schedules]
        self.schedules.update((s.text, s) for s in named)
        optimizer = optimizers.parse(grid.optimizer or task.optimizer)
        read = tuple(averagings.parse(text).text for text in grid.averagings)
        if optimizer.averages and set(read) != {"none"}:
            raise InputError(f"{optimizer.name} is read by an average of its own: no averaging goes on top")
        named_as = tuple(s.text for s in named)
        return replace(grid, task=task.name, schedules=named_as, optimizer=optimizer.text, averagings=read)

    def check(self, grids: Iterable[Grid], arithmetic: Arithmetic) -> None:
        """Refuse what would fail once training has begun.

        Raises:
            InputError: naming the task and what is wrong with it.
        """
        for task in self.tasks.values():
            dry_run.check(task)
            engine.check_parts(task, arithmetic)
        for grid in grids:
            limits.bounded(grid, self.tasks[grid.task])

    def fits(self, room: float, arithmetic: Arithmetic) -> Callable[[Task, Sequence[Cell], EngineName], int]:
        """How many members of a cohort so many bytes hold."""
        parts = arithmetic.accumulate * arithmetic.processes

        def members(task: Task, cells: Sequence[Cell], name: EngineName) -> int:
            recalls = any("grad_dot" in self.schedules[cell.schedule].needs for cell in cells)
            return memory.of_cohort(task, cells, name, parts=parts, recalls=recalls).members(room)

        return members


def prepare(order: RunConfig, world: ProcessGroup | None = None) -> PreparedRun:
    """Understand an order; everything that can be wrong with it is found here, before training.

    Without a world, it is one process on a CPU without end.

    Raises:
        InputError: one line that says what is wrong.
    """
    _writable(order.directory)
    if order.data is not None:
        dataset.use(order.data)
    suite = suites.load(order.suite).where(
        tasks=None if order.tasks is None else [t.name for t in tasks.parse_list(order.tasks)],
        schedules=None if order.schedules is None else tuple(s.text for s in schedules.parse_list(order.schedules)),
        budgets=order.budgets,
        peak_lrs=order.peak_lrs,
        seeds=order.seeds,
    )
    world = world or ProcessGroup()
    wishes = {name: getattr(order, name) for name in ("precision", "accumulate", "backend")}
    arithmetic = world.arithmetic(order.data_parallel, **wishes)
    named = _Named()

    def chosen(task: Task, optimizer: str, cells: int) -> EngineName:
        return engine.choose(task, optimizer, cells, world.device, order.engine, arithmetic)

    reference = schedules.parse(suite.reference).text
    suite = replace(suite, grids=tuple(map(named.canonical, suite.grids)), reference=reference)
    named.check(suite.grids, arithmetic)
    limit = None if order.width or order.assigned or world.memory is None else world.memory / crowd(order, world)
    fits = None if limit is None else named.fits(limit, arithmetic)

    def planned(recorded: Collection[str] = ()) -> Plan:
        width = order.width or WIDTH
        return build(suite, named.tasks, chosen, width=width, fits=fits, recorded=recorded).under(arithmetic)

    def uncut() -> Plan:
        return build(suite, named.tasks, chosen, width=sys.maxsize).under(arithmetic)

    whole = planned()
    check_momentum(Forecast(whole, named.tasks, named.schedules))
    if not order.extend:
        return PreparedRun(whole, named.tasks, named.schedules, whole, uncut)
    read = (PlanRow.kind, AttemptRow.kind, CellRow.kind)
    past = extension.lineage(ledger.read(order.directory, kinds=read)) if paths.parts(order.directory) else []
    return PreparedRun(extension.extend(whole, past, planned), named.tasks, named.schedules, whole, uncut, tuple(past))


def crowd(order: RunConfig, world: ProcessGroup) -> float:
    """Workers among whom a process's memory is divided: a GPU has one unless told, a CPU's is told for each core."""
    if order.data_parallel or order.workers is None:
        return 1.0
    return max(1.0, order.workers / (1 if world.device.startswith("cuda") else world.cores))


def check_momentum(forecast: Forecast) -> None:
    """Refuse schedules that set the momentum of optimizers that have none to set.

    Raises:
        InputError: naming every such pair.
    """
    unsteered = {c.optimizer: optimizers.parse(c.optimizer).unsteered() for c in forecast.plan.cells}
    pairs = {(c.schedule, c.optimizer): c for c in forecast.plan.cells if unsteered[c.optimizer]}
    if wrong := [pair for pair, cell in pairs.items() if forecast.sets_momentum(cell)]:
        told = "; ".join(f"{schedule} sets the momentum, {unsteered[optimizer]}" for schedule, optimizer in wrong)
        raise InputError(
            f"{told}: give it momentum=False, or cycle_momentum=False in torch's own, or take another optimizer"
        )


def _writable(directory: Path) -> None:
    """Refuse a place where no run's directory can be, before anything is made there.

    Raises:
        InputError: saying why.
    """
    there = next(path for path in (directory, *directory.parents) if path.exists() or path.is_symlink())
    if not there.is_dir():
        raise InputError(f"cannot write to {directory}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {directory}: {os.strerror(errno.EACCES)}")
