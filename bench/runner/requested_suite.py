"""The suite of a configuration: a named one or a file's, with the settings that replace its own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import schedules
import tasks
from bench import suites
from bench.contract import InputError
from bench.plan import Grid, Suite
from bench.strategies import averagings, optimizers

if TYPE_CHECKING:
    from bench.runner.config import RunConfig


def load(config: RunConfig) -> Suite:
    """The suite of a configuration.

    Raises:
        InputError: a setting is wrong, or an optimizer is one that a task's peak LRs are not made for.
    """
    names = None if config.tasks is None else [t.name for t in tasks.parse_list(config.tasks)]
    suite = (config.own_suite or suites.load(config.suite)).where(tasks=names)
    if config.batch_size is not None:
        suite = replace(suite, grids=tuple(_batched(grid, config.batch_size) for grid in suite.grids))
    replacements = [] if config.optimizers is None else optimizers.parse_list(config.optimizers)
    for grid in suite.grids if config.peak_lrs is None else ():
        own = grid.optimizer or tasks.parse(grid.task).optimizer
        if others := [o.name for o in replacements if o.name != optimizers.parse(own).name]:
            raise InputError(f"{others[0]} on {grid.task}: its peak LRs are for {own}; give --peak-lrs")
    suite = suite.where(
        schedules=None if config.schedules is None else tuple(s.text for s in schedules.parse_list(config.schedules)),
        optimizers=[o.text for o in replacements] or None,
        weight_decays=config.weight_decays,
        averagings=None
        if config.averagings is None
        else tuple(a.text for a in averagings.parse_list(config.averagings)),
        budgets=config.budgets,
        peak_lrs=config.peak_lrs,
        seeds=config.seeds,
    )
    if config.epochs is not None:
        suite = _for_epochs(suite, config)
    return suite if config.reference is None else replace(suite, reference=config.reference)


def _batched(grid: Grid, size: int) -> Grid:
    return replace(grid, task=tasks.parse(grid.task, batch_size=size).name)


def _for_epochs(suite: Suite, config: RunConfig) -> Suite:
    """The suite with budgets of so many epochs, which are those of the primary test, too.

    Raises:
        InputError: no number of epochs, or shares are asked for, too.
    """
    epochs = config.epochs or ()
    if config.budgets is not None:
        raise InputError("--epochs and --budgets exclude each other: both say how long cells train")
    for number in epochs:
        if not (math.isfinite(number) and number > 0):
            raise InputError(f"--epochs {number:g}: give numbers above 0, such as 5,20")
    grids = []
    for grid in suite.grids:
        full = tasks.parse(grid.task).epochs
        grids.append(replace(grid, budgets=tuple(number / full for number in epochs)))
    budgets = {budget for grid in grids for budget in grid.budgets}
    return replace(suite, grids=tuple(grids), primary=suite.primary._replace(budgets=tuple(sorted(budgets))))
