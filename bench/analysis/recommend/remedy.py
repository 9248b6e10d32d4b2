"""The run that would get missing data, as values of the options of `glideslope run`, with its rough cost. No text."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import schedules
import tasks
from bench import suites
from bench.analysis.recommend.evidence import SEEDS, Evidence
from bench.analysis.results import REFERENCE, SEPARATOR
from bench.contract import InputError, Task
from bench.layers import LAYERS
from bench.ledger import paths
from bench.plan.plan import updates
from tasks.data.dataset import ROOT
from tasks.data.registry import PACKS


class MissingRun(NamedTuple):
    """A run that would get missing data."""

    task: str
    schedules: tuple[str, ...]  # () for those of the suite
    suite: str | None  # None for the default one
    budget: float
    peak_lrs: tuple[float, ...]  # () for the task's own
    seeds: int
    data: bool  # true if the folder of real data sets has to be named
    out: Path
    extend: bool  # true if there is such a run with fewer seeds
    seconds: float | None  # rough CPU time; None where nothing is known of the cost


def missing_run(e: Evidence, epochs: float, seeds: int, strategy: str | None, side: str = "") -> MissingRun | None:
    """The run of a task's strategies with so many seeds and epochs; None where no command of ours would do it.

    Args:
        e: Evidence that does not suffice.
        epochs: The budget.
        seeds: Number of seeds.
        strategy: The strategy that the run has to include, if any.
        side: End of the grid of peak LRs beyond which another one is tried: "low", "high", both or neither.
    """
    try:
        task = tasks.parse(e.task)
        plain = tuple(s for s in _plain(e) if schedules.parse(s))
    except InputError:
        return None  # published runs of other people, or code that is not here
    suite, grid = None, tuple(e.facts.peak_lrs)
    if strategy is not None and SEPARATOR in strategy:
        suite = _suite(e)
        if suite is None:
            return None
        plain = ()
    else:
        own = {t.peak_lr for t in e.comparison.study.tries if t.task == e.task and t.strategy in plain}
        grid = _widened(tuple(sorted(own)) or task.peak_lrs, side)
    run = _run(task, plain, epochs, seeds)
    peaks = () if suite or grid == tuple(task.peak_lrs) else grid
    run = run._replace(suite=suite, peak_lrs=peaks)
    return run._replace(seconds=_seconds(e, task, run, len(grid)))


def first_run(text: str, epochs: float) -> MissingRun | None:
    """The run of a task that no ledger has, with the strategies for expensive tasks; None if it is not ours."""
    try:
        return _run(tasks.parse(text), suites.FEW, epochs, SEEDS)
    except InputError:
        return None


def _run(task: Task, schedules: tuple[str, ...], epochs: float, seeds: int) -> MissingRun:
    out = Path("runs") / f"{re.sub(r'[^A-Za-z0-9]+', '-', task.name).strip('-')}-{epochs:g}-epochs"
    real = any(task.source.startswith(pack.source) for pack in PACKS.values()) and not os.environ.get(ROOT)
    budget = float(f"{epochs / task.epochs:.6g}")
    return MissingRun(task.name, schedules, None, budget, (), seeds, real, out, bool(paths.parts(out)), None)


def _plain(e: Evidence) -> tuple[str, ...]:
    """Schedules that the task ran under its usual settings, the reference first; the usual few where it is one."""
    ran = [s for s, _ in e.ranked if SEPARATOR not in s]
    order = [s for s in e.facts.schedules if s in ran]
    return tuple(dict.fromkeys((REFERENCE, *order, *(suites.FEW if len(order) < 2 else ()))))


def _suite(e: Evidence) -> str | None:
    """The built-in suite that a task's ledger was planned from."""
    name = e.comparison.study.plan.suite
    grids = suites.SUITES[name]().grids if name in suites.SUITES else ()
    return name if any(grid.task == e.task for grid in grids) else None


def _widened(grid: Sequence[float], side: str) -> tuple[float, ...]:
    """A grid of peak LRs with one more beyond an end, in the same ratio.

    >>> _widened((0.1, 0.3, 1.0), "high"), _widened((0.1, 0.3), "low")
    ((0.1, 0.3, 1.0, 3.3), (0.033, 0.1, 0.3))
    """
    more = list(grid)
    if "low" in side and len(grid) > 1:
        more.insert(0, float(f"{grid[0] ** 2 / grid[1]:.2g}"))
    if "high" in side and len(grid) > 1:
        more.append(float(f"{grid[-1] ** 2 / grid[-2]:.2g}"))
    return tuple(more)


def _seconds(e: Evidence, task: Task, run: MissingRun, peaks: int) -> float | None:
    """Updates of the run, less the share that the ledger's cohorts shared, times the rough cost of one."""
    facts = e.facts
    if facts.layers not in LAYERS:
        return None
    cohorts = [c for c in e.comparison.study.cohorts if c.task == e.task]
    steps, looks = sum(c.cell_steps for c in cohorts), sum(c.looks for c in cohorts)
    shared = looks / steps if steps else 1.0
    cells = len(run.schedules) * peaks
    if run.suite is not None:
        cells = sum(len(v.score.peak_lrs) for _, v in e.ranked)
    total = updates(task.epochs, run.budget, facts.epoch_steps)
    return cells * run.seeds * total * shared * LAYERS[facts.layers].seconds
