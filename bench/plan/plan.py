"""Plans: from a suite to cells, cohorts and shards. Nothing trains here."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from bench.contract import LARGEST, Cell, Cohort, EngineName, InputError, Primary, Setting, Task, digest
from bench.numerics import Arithmetic

WIDTH = 512  # cells in a cohort
THREADS = 1  # CPU threads of a cohort
TUNE = 4  # widenings of a grid at most, where --tune gives no number


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One task, and the settings that are crossed on it. None means the task's default."""

    task: str
    schedules: tuple[str, ...]
    budgets: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    peak_lrs: tuple[float, ...] | None = None
    seeds: int = 3
    optimizer: str | None = None
    weight_decay: float | None = None
    averagings: tuple[str, ...] = ("none",)  # how weights are averaged before an evaluation; they cost no training


@dataclass(frozen=True)
class Suite:
    """A named list of grids; see `bench/suites.py` for the built-in ones."""

    name: str
    grids: tuple[Grid, ...]
    reference: str = "constant"  # the schedule that the others are tested against, declared before the run
    primary: Primary = LARGEST  # how they are tested
    tune: int = 0  # how often a task's grid of peak LRs may be widened where a choice lies at its edge

    def where(
        self,
        tasks: Sequence[str] | None = None,
        optimizers: Sequence[str] | None = None,
        weight_decays: Sequence[float] | None = None,
        **changes: Any,
    ) -> Suite:
        """The suite with only these tasks, and with some fields of each grid replaced. None changes nothing.

        A task that the suite lacks gets the first grid's settings, with its own optimizer and peak LRs. Every grid is
        crossed with the optimizers and the weight decays. Other budgets are those of the primary test, too.
        """
        if tasks is not None:
            grids = []
            for task in tasks:
                own = [grid for grid in self.grids if grid.task == task]
                grids += own or [replace(self.grids[0], task=task, peak_lrs=None, optimizer=None)]
        else:
            grids = list(self.grids)
        settings = {name: value for name, value in changes.items() if value is not None}
        grids = [replace(grid, **settings) for grid in grids]
        if optimizers is not None:
            crossed = product(grids, optimizers)
            grids = list(dict.fromkeys(replace(grid, optimizer=optimizer) for grid, optimizer in crossed))
        if weight_decays is not None:
            pairs = product(grids, weight_decays)
            grids = list(dict.fromkeys(replace(grid, weight_decay=decay) for grid, decay in pairs))
        primary = self.primary if changes.get("budgets") is None else self.primary._replace(budgets=changes["budgets"])
        return replace(self, grids=tuple(grids), primary=primary)


@dataclass(frozen=True)
class Plan:
    """Cohorts to train, in a fixed order, and notes about them."""

    suite: str
    cohorts: tuple[Cohort, ...]
    notes: tuple[str, ...] = ()
    reference: str = "constant"
    primary: Primary = LARGEST
    seed_looks: tuple[int, ...] = ()  # numbers of seeds at which the run may stop; without any, it has those it has
    extends: tuple[str, ...] = ()  # ids of the plans whose cells are recorded and left out here, oldest first

    @property
    def id(self) -> str:
        return digest(" ".join([*self.extends, *(c.id for c in self.cohorts)]))

    @property
    def cells(self) -> list[Cell]:
        return [cell for cohort in self.cohorts for cell in cohort.cells]

    def under(self, arithmetic: Arithmetic) -> Plan:
        """The same cohorts under another arithmetic."""
        return replace(self, cohorts=tuple(replace(cohort, arithmetic=arithmetic) for cohort in self.cohorts))

    def coded(self, codes: Mapping[str, str]) -> Plan:
        """The same cohorts with other task code. `codes` holds its digest by the task's text; no code for others."""
        cohorts = []
        for cohort in self.cohorts:
            cells = tuple(replace(cell, code=codes.get(cell.task, "")) for cell in cohort.cells)
            cohorts.append(replace(cohort, cells=cells))
        return replace(self, cohorts=tuple(cohorts))

    def cut(self, width: int) -> Plan:
        """The plan with its cohorts split by peak LR into cohorts of at most `width` cells."""
        parts = [replace(c, cells=tuple(part)) for c in self.cohorts for part in _split([*c.cells], width)]
        return replace(self, cohorts=tuple(parts))

    def cut_for(self, takers: int) -> tuple[int, Plan]:
        """(width, plan) at the widest cut, of halves, that gives each of so many takers a cohort."""
        width, parts = max(len(cohort.cells) for cohort in self.cohorts), self
        while len(parts.cohorts) < takers and width > 1:
            width = -(-width // 2)
            parts = self.cut(width)
        return width, parts

    def shard(self, i: int, n: int) -> Plan:
        """Every n-th cohort from the i-th (0-based) on. Shards are disjoint, and consist of whole cohorts."""
        if not 0 <= i < n:
            raise InputError(f"shard {i}/{n}: the shard should lie in 0 .. {n - 1}")
        return replace(self, cohorts=self.cohorts[i::n])


def updates(epochs: float, budget: float, epoch_steps: int) -> int:
    """A budget in updates, T = max(1, round(epochs * budget * epoch_steps))."""
    return max(1, round(epochs * budget * epoch_steps))


def build(
    suite: Suite,
    tasks: Mapping[str, Task],
    choose: Callable[[Task, str, int], EngineName],
    *,
    width: int = WIDTH,
    fits: Callable[[Task, Sequence[Cell], EngineName], int] | None = None,
    recorded: Collection[str] = (),
) -> Plan:
    """The plan of a suite. `tasks` holds each grid's task by its text; texts in the grids are canonical.

    Args:
        suite: What to cross.
        tasks: Task of each grid by its text.
        choose: Engine for (task, optimizer text, number of cells), deterministic.
        width: Most cells of a cohort. A larger one is split by peak LR: cells of different ones share only look 0.
        fits: Number of members that fit into memory, of a cohort with these cells.
        recorded: Ids of cells to leave out.

    Raises:
        InputError: a setting is invalid.
    """
    if not suite.grids:
        raise InputError(f"suite {suite.name!r} holds no grid: nothing to run")
    cohorts: list[Cohort] = []
    notes: list[str] = []
    crossed = (c for grid in suite.grids for c in _cells(grid, tasks[grid.task], notes))
    for cells in shareable_groups(c for c in crossed if c.id not in recorded):
        first = cells[0]
        engine = choose(tasks[first.task], first.optimizer, len(cells))
        capacity = fits(tasks[first.task], cells, engine) if fits else width
        parts = _split(cells, min(width, capacity))
        if len(parts) > 1:
            why = "all that memory holds" if capacity < width else "width"
            notes.append(
                f"{first.task} seed {first.seed}: {len(cells)} cells are split by peak LR into {len(parts)} "
                f"cohorts ({why} {min(width, capacity)}), which costs {len(parts) - 1} looks at step 0 at least"
            )
        cohorts += [Cohort(tuple(part), engine, THREADS) for part in parts]
    return Plan(suite.name, _distinct(cohorts), tuple(dict.fromkeys(notes)), suite.reference, suite.primary)


def shareable_groups(cells: Iterable[Cell]) -> Iterable[list[Cell]]:
    """Groups of cells that can share members: of equal task, optimizer, weight decay and seed, from any grid."""
    groups: dict[tuple[str, str, float, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.task, cell.optimizer, cell.weight_decay, cell.seed), []).append(cell)
    return groups.values()


def _cells(grid: Grid, task: Task, notes: list[str]) -> Iterable[Cell]:
    check(grid)
    data = task.load()
    steps = len(data.train) // task.batch_size
    totals: dict[int, float] = {}
    for budget in sorted(grid.budgets, reverse=True):
        total = updates(task.epochs, budget, steps)
        if total in totals:
            notes.append(f"{grid.task}: budget {budget:g} is {total} updates, as {totals[total]:g} is: merged")
        totals.setdefault(total, budget)
    mark = data.digest()
    for seed in range(grid.seeds):
        for peak_lr in sorted(set(grid.peak_lrs or task.peak_lrs)):
            for schedule, averaging in product(dict.fromkeys(grid.schedules), dict.fromkeys(grid.averagings)):
                for total, budget in sorted(totals.items()):
                    yield Cell(
                        task=grid.task,
                        schedule=schedule,
                        optimizer=grid.optimizer or task.optimizer,
                        peak_lr=peak_lr,
                        weight_decay=task.weight_decay if grid.weight_decay is None else grid.weight_decay,
                        budget=budget,
                        total=total,
                        seed=seed,
                        data=mark,
                        averaging=averaging,
                        code=task.code,
                    )


def check(grid: Grid) -> None:
    """Refuse invalid settings before anything is loaded.

    Raises:
        InputError: names the setting and the values allowed.
    """
    if isinstance(grid.seeds, bool) or not isinstance(grid.seeds, int) or grid.seeds < 1:
        raise InputError(f"seeds {grid.seeds!r} on {grid.task}: give a whole number, 1 or more")
    if not (grid.schedules and grid.budgets and grid.averagings):
        raise InputError(f"{grid.task}: give at least one schedule, one budget and one averaging ('none')")
    for budget in grid.budgets:
        if not (math.isfinite(budget) and budget > 0):
            raise InputError(f"budget {budget} on {grid.task}: a fraction of the full epochs above 0, such as 0.25")
    for peak_lr in grid.peak_lrs or ():
        if not (math.isfinite(peak_lr) and peak_lr > 0):
            raise InputError(f"peak LR {peak_lr} on {grid.task}: give a finite number above 0")
    decay = grid.weight_decay
    if decay is not None and not (math.isfinite(decay) and decay >= 0):
        raise InputError(f"weight decay {decay} on {grid.task}: give a finite number, 0 or more")


def _split(cells: list[Cell], width: int) -> list[list[Cell]]:
    if len(cells) <= width:
        return [cells]
    by_peak: dict[float, list[Cell]] = {}
    for cell in cells:
        by_peak.setdefault(cell.peak_lr, []).append(cell)
    return [part[i : i + width] for part in by_peak.values() for i in range(0, len(part), width)]


def _distinct(cohorts: list[Cohort]) -> tuple[Cohort, ...]:
    """The cohorts, unless a cell occurs twice."""
    earlier: set[str] = set()
    for cohort in cohorts:
        ids = {c.id for c in cohort.cells}
        if ids & earlier or len(ids) < len(cohort.cells):
            raise InputError(f"the suite names a cell of task {cohort.task} twice: each of its grids should differ")
        earlier |= ids
    return tuple(cohorts)


def optimum(traces: Iterable[Sequence[Setting]], peaks: Iterable[float]) -> int:
    """Least number of looks for training these open-loop cells: the trie optimum of DESIGN section 2.

    It is the number of distinct prefixes, of lengths 0 to T-1, of the sequences of (LR, momentum), compared bitwise. In
    sorted order, neighbours share the longest prefixes, so each sequence adds its length less the prefix shared with
    the one before.
    """
    keyed = sorted(_key(trace, peak) for trace, peak in zip(traces, peaks, strict=True))
    looks = 0
    for i, (text, total) in enumerate(keyed):
        looks += total
        if i:
            before, shorter = keyed[i - 1]
            looks -= min(_common(before, text) + 1, total, shorter)
    return looks


_WIDTH = 16  # bytes of one update: LR and momentum, both float64


def _key(trace: Sequence[Setting], peak: float) -> tuple[bytes, int]:
    missing = -1.0  # no optimizer has a negative momentum
    pairs = [(peak * s.factor, missing if s.momentum is None else s.momentum) for s in trace]
    return np.asarray(pairs, dtype=">f8").tobytes(), len(trace)


def _common(a: bytes, b: bytes) -> int:
    n = min(len(a), len(b))
    differ = np.flatnonzero(np.frombuffer(a[:n], np.uint8) != np.frombuffer(b[:n], np.uint8))
    return int(differ[0] if len(differ) else n) // _WIDTH
