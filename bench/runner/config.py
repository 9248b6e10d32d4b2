"""The configuration of a run, and the plan that follows from it. Nothing is trained here."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import schedules
from bench import engine
from bench.analysis.protocol import tuning
from bench.contract import Cell, EngineName, InputError, Schedule, Task, Wandb
from bench.ledger import ledger, paths
from bench.ledger.cell_row import CellRow
from bench.ledger.lines import Row
from bench.ledger.rows import AttemptRow, PlanRow
from bench.numerics import Arithmetic
from bench.plan import Suite, extension, limits
from bench.plan.forecast import Forecast
from bench.plan.packing import Assigned
from bench.plan.plan import WIDTH, Plan, build
from bench.runner import requested_suite
from bench.runner.catalogue import Catalogue
from bench.runner.distributed import ProcessGroup
from bench.runner.kept_weights import Keep
from bench.runner.rounds import Round, StoppingRule, comparison_of
from bench.strategies import optimizers
from tasks import own_task
from tasks.data import dataset


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run as the user configures it; None keeps the setting of the suite."""

    suite: str = "core"  # its name or file
    own_suite: Suite | None = None  # in its place, from Python
    out: Path | None = None
    tasks: str | None = None
    schedules: str | None = None
    optimizers: str | None = None
    averagings: str | None = None
    weight_decays: tuple[float, ...] | None = None
    budgets: tuple[float, ...] | None = None
    epochs: tuple[float, ...] | None = None  # budgets in epochs, instead of shares
    batch_size: int | None = None  # of every task
    reference: str | None = None
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
    tune: int | None = None  # widenings of a task's grid of peak LRs at most; 0: none
    until: str | None = None  # "decided": seeds are added until the tasks are decided, up to `at_most`
    at_most: int | None = None
    wandb: Wandb = "off"
    keep: Keep = "none"  # whose final weights are kept; no part of the plan

    @property
    def directory(self) -> Path:
        return self.out or Path("runs") / Path(self.suite).stem

    @property
    def partial(self) -> bool:  # other processes train the rest
        return self.assigned is not None or self.shard != (0, 1)

    def workers_here(self, group: ProcessGroup) -> int:
        """Number of workers that train cohorts in this process."""
        if self.data_parallel:
            return 1
        return self.workers or (group.cores if group.device == "cpu" else 1)

    def takers(self, group: ProcessGroup) -> int:
        """Number of workers that share the plan's cohorts, in all processes and, of equal ones, in all shards."""
        return self.workers_here(group) * (1 if self.data_parallel else group.size) * self.shard[1]

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
    past: tuple[extension.Past, ...]
    round: Round
    closing: tuple[str, ...] = ()  # why no round follows, once the last one is complete
    planner: Planner | None = None  # of a run that goes on in rounds

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
        own = replace(own, notes=[*self.round.reasons, *own.notes])
        if not self.plan.extends:
            return own
        before = next(past.row for past in self.past if past.key == self.plan.extends[-1])
        return extension.row(Forecast(self.whole, self.tasks, self.schedules).row(), before, own)


@dataclass(frozen=True)
class Planner:
    """Makes the plan of a run, from its configuration and, where it goes on in rounds, from its ledger."""

    config: RunConfig
    suite: Suite  # of the first round
    rule: StoppingRule
    catalogue: Catalogue
    arithmetic: Arithmetic
    fits: Callable[[Task, Sequence[Cell], EngineName], int] | None

    def build(self, suite: Suite, recorded: Collection[str] = (), width: int | None = None) -> Plan:
        """The plan of a suite without recorded cells; cut to a width, or else as configured."""

        def choose_engine(task: Task, optimizer: str, cells: int) -> EngineName:
            return engine.choose(task, optimizer, cells, self.config.engine, self.arithmetic)

        fits = self.fits if width is None else None
        width = width or self.config.width or WIDTH
        plan = build(suite, self.catalogue.tasks, choose_engine, width=width, fits=fits, recorded=recorded)
        return replace(plan.under(self.arithmetic), seed_looks=self.rule.looks)

    def prepare(self) -> PreparedRun:
        """The run as its ledger stands: the first round that is not complete, or else the last one.

        Raises:
            InputError: the ledger holds another plan than the round extends.
        """
        rows, current, at, closing = self._rows(), Round(self.suite), -1, tuple[str, ...]()
        past = extension.lineage(rows)
        while True:
            without = partial(self.build, current.suite)
            whole = without()
            found = extension.begun(past, without, self._places(current, at, past)) if self.rule else None
            if found is None:
                why = "--extend" if current.number == 1 else f"round {current.number}"
                fresh = current.number == 1 and not self.config.extend
                plan = whole if fresh else extension.extend(whole, past, without, why)
                break
            at, plan = found
            cells = {cell.id for cell in whole.cells}
            if not cells <= extension.cells_of(past[: at + 1]) or self._is_assigned(plan):
                break
            comparison = comparison_of(past[at].key, past[at].row, cells, rows)
            following, closing = self.rule.after(current, comparison)
            if following is None:
                break
            current = following
        plan = plan if plan.extends else whole
        own = self.catalogue.tasks, self.catalogue.schedules
        uncut = partial(self.build, current.suite, width=sys.maxsize)
        planner = self if self.rule else None
        return PreparedRun(plan, *own, whole, uncut, tuple(past), current, closing, planner)

    def most(self, current: Round) -> Plan:
        """The plan of the last round, if every later one added all that the rule allows."""
        return self.build(self.rule.most(current))

    def _rows(self) -> list[Row]:
        """Rows that say which plans and cells are recorded; none where the ledger makes no difference."""
        if not ((self.config.extend or self.rule) and paths.parts(self.config.directory)):
            return []
        return ledger.read(self.config.directory, kinds=(PlanRow.kind, AttemptRow.kind, CellRow.kind))

    def _places(self, current: Round, at: int, past: Sequence[extension.Past]) -> range:
        """Places in the lineage where a round may stand. The first is the oldest, unless it extends others."""
        return range(at + 1, min(len(past), 1) if current.number == 1 and not self.config.extend else len(past))

    def _is_assigned(self, plan: Plan) -> bool:
        """True for the plan that this array task was submitted for, whatever others have done since."""
        return self.config.assigned is not None and self.config.assigned.plan == plan.id


def prepare(config: RunConfig, group: ProcessGroup | None = None) -> PreparedRun:
    """Make the plan of a configuration. All errors in it are raised here, before training.

    Args:
        config: The configuration.
        group: The processes of the run; by default one process on a CPU of unlimited memory.

    Raises:
        InputError: one line that says what is wrong.
    """
    _check_writable(config.directory)
    own_task.MADE.clear()  # data of the user's may have changed since the last run of this process
    if config.data is not None:
        dataset.use(config.data)
    suite = requested_suite.load(config)
    group = group or ProcessGroup()
    requested = {name: getattr(config, name) for name in ("precision", "accumulate", "backend")}
    arithmetic = group.arithmetic(config.data_parallel, **requested)
    catalogue = Catalogue()
    reference = schedules.parse(suite.reference).text
    suite = replace(suite, grids=tuple(map(catalogue.canonical, suite.grids)), reference=reference)
    catalogue.check(suite.grids, arithmetic)
    rule = _rule(config, suite)
    if rule.tune:
        suite = replace(suite, grids=tuning.explicit(suite.grids, catalogue.tasks))
    for grid in rule.most(Round(suite)).grids if rule else ():
        limits.bounded(grid, catalogue.tasks[grid.task])
    fits = None
    if not (config.width or config.assigned or group.memory is None):
        fits = catalogue.fits(group.memory / memory_shares(config, group), arithmetic, group.device)
    prepared = Planner(config, suite, rule, catalogue, arithmetic, fits).prepare()
    catalogue.try_engines(prepared.plan, group.device)
    check_momentum(Forecast(prepared.whole, catalogue.tasks, catalogue.schedules))
    return prepared


def _rule(config: RunConfig, suite: Suite) -> StoppingRule:
    """The rule by which a run goes on.

    Raises:
        InputError: the options of the rule are wrong, or this process trains a shard.
    """
    rule = StoppingRule.of(suite, config.tune, config.until, config.at_most)
    if rule and config.shard != (0, 1):
        raise InputError(
            f"--shard and {rule.text} exclude each other: no shard knows when the round is complete; "
            "`glideslope submit` plans one round at a time"
        )
    return rule


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
