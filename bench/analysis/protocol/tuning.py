"""Tuning of peak LRs: which ends of the grids a strategy's choice lies at, and the grids widened there.

A choice at an end says that the best peak LR may lie beyond. The end is then widened for every strategy of the task
with the same optimizer, so that all keep equal tries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal, NamedTuple

from bench.analysis.comparison import Comparison, Score
from bench.contract import InputError, Task
from bench.plan import Grid

Side = Literal["low", "high"]

SIDES: tuple[Side, ...] = ("low", "high")
FACTOR = 2.0
"""Ratio of a peak LR that is added to the end of the grid."""


class EdgeChoice(NamedTuple):
    """Strategies of a task whose choice lies at one end of their grid, at some budget."""

    task: str
    optimizer: str
    side: Side
    strategies: tuple[str, ...]
    ends: tuple[float, ...]  # one, unless grids of the same optimizer differ

    @property
    def text(self) -> str:
        """As "digits: constant, linear at the high edge (0.4)"."""
        ends = ", ".join(f"{end:g}" for end in self.ends)
        return f"{self.task}: {', '.join(self.strategies)} at the {self.side} edge ({ends})"


def edge_choices(comparison: Comparison) -> list[EdgeChoice]:
    """All choices at an end of a grid, in the order of the plan. In a grid of one or two peak LRs every choice is."""
    strategies: dict[tuple[str, str, Side], dict[str, None]] = {}
    ends: dict[tuple[str, str, Side], set[float]] = {}
    for (task, _), verdicts in comparison.verdicts.items():
        for strategy, verdict in verdicts.items():
            for side in _sides(verdict.score):
                key = task, verdict.score.tries[0].optimizer, side
                strategies.setdefault(key, {})[strategy] = None
                ends.setdefault(key, set()).add(_end(verdict.score.peak_lrs, side))
    return [EdgeChoice(*key, tuple(names), tuple(sorted(ends[key]))) for key, names in strategies.items()]


def widen(grids: Iterable[Grid], choices: Iterable[EdgeChoice]) -> tuple[Grid, ...]:
    """The grids with a peak LR more at each end that a choice lies at. Their peak LRs and optimizers are given."""
    wider = {(choice.task, choice.optimizer, choice.side) for choice in choices}

    def more(grid: Grid) -> Grid:
        sides = [side for side in SIDES if (grid.task, grid.optimizer, side) in wider]
        return replace(
            grid, peak_lrs=tuple(sorted({*_grid_lrs(grid), *(beyond(_grid_lrs(grid), side) for side in sides)}))
        )

    return tuple(more(grid) for grid in grids)


def widen_everywhere(grids: Iterable[Grid], times: int) -> tuple[Grid, ...]:
    """The grids with so many peak LRs more at both ends: the most that tuning can come to."""
    grids = tuple(grids)
    for _ in range(times):
        grids = widen(grids, [EdgeChoice(g.task, g.optimizer or "", side, (), ()) for g in grids for side in SIDES])
    return grids


def beyond(peak_lrs: Sequence[float], side: Side) -> float:
    """The peak LR to add to an end of a grid: half or twice the end, to 12 digits.

    >>> beyond((0.1, 0.2), "high"), beyond((0.1, 0.2), "low"), beyond((0.003, 0.01), "low")
    (0.4, 0.05, 0.0015)
    """
    end = _end(peak_lrs, side)
    return float(f"{end * FACTOR if side == 'high' else end / FACTOR:.12g}")


def explicit(grids: Iterable[Grid], tasks: Mapping[str, Task]) -> tuple[Grid, ...]:
    """The grids with each task's default peak LRs written out, for tuning.

    Raises:
        InputError: a strategy stands in two grids with other peak LRs, so that neither has an end of its own.
    """
    grids = tuple(replace(grid, peak_lrs=grid.peak_lrs or tasks[grid.task].peak_lrs) for grid in grids)
    for one, other in combinations(grids, 2):
        if set(_grid_lrs(one)) != set(_grid_lrs(other)) and (common := _common(one, other, tasks[one.task])):
            raise InputError(
                f"tuning {one.task}: {common} stands in two grids with other peak LRs; give it all of them in one grid"
            )
    return grids


def _common(one: Grid, other: Grid, task: Task) -> str:
    """A schedule that two grids train at the same settings but for the peak LR; empty if there is none."""

    def settings(grid: Grid) -> tuple[str, str | None, float]:
        return grid.task, grid.optimizer, task.weight_decay if grid.weight_decay is None else grid.weight_decay

    if settings(one) != settings(other) or not set(one.averagings) & set(other.averagings):
        return ""
    overlap = set(one.budgets) & set(other.budgets)
    return next((name for name in one.schedules if overlap and name in other.schedules), "")


def _sides(score: Score) -> list[Side]:
    return [side for side in SIDES if score.pick is not None and score.pick == _end(score.peak_lrs, side)]


def _end(peak_lrs: Sequence[float], side: Side) -> float:
    return min(peak_lrs) if side == "low" else max(peak_lrs)


def _grid_lrs(grid: Grid) -> tuple[float, ...]:
    """The peak LRs of a grid of `explicit`."""
    assert grid.peak_lrs, "these grids give their peak LRs"
    return grid.peak_lrs
