"""Limits of a grid: beyond them, the plan alone would fill the memory."""

from __future__ import annotations

from bench.contract import InputError, Task
from bench.plan.plan import Grid, check

MOST_SEEDS, MOST_UPDATES = 10**5, 10**8
MOST_WIDENINGS = 32  # of a grid of peak LRs, a factor of 2 each


def bounded(grid: Grid, task: Task) -> None:
    """Refuse a grid whose plan alone would fill the memory.

    Raises:
        InputError: names the setting and the largest value allowed.
    """
    check(grid)
    if grid.seeds > MOST_SEEDS:
        raise InputError(f"seeds {grid.seeds} on {grid.task}: give {MOST_SEEDS:,} at most")
    updates = task.epochs * max(grid.budgets) * (len(task.load().train) // task.batch_size)
    if updates > MOST_UPDATES:
        raise InputError(f"budget {max(grid.budgets):g} on {grid.task}: that is more than {MOST_UPDATES:,} updates")
