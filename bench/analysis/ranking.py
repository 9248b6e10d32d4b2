"""Ranks across tasks: means, and Friedman's test. No text.

K = strategies, T = tasks.

A rank tells nothing about distance, and budgets of one task are not independent: means over budgets only
describe. The test is of the ranks at the full budget, over tasks, where there are enough of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.comparison import Comparison
from bench.analysis.stats.intervals import ranks
from bench.analysis.stats.tests import Friedman, friedman

TASKS, STRATEGIES = 5, 3
"""Fewest tasks and strategies that Friedman's test is made with. Under the null (20,000 simulated experiments, 3 to 13
strategies) its F rejects 4 to 6 % with 5 tasks, up to 7 % with 4 and up to 20 % with 3. With two strategies a
rank says no more than which is better."""


class RankPanel(NamedTuple):
    """Ranks of a set of strategies, among themselves, over the tasks that ran all of them."""

    strategies: tuple[str, ...]
    tasks: tuple[str, ...]
    means: dict[float, tuple[list[float], int]]  # by budget: mean rank of each strategy, and of how many tasks
    test: Friedman | None  # at the full budgets; None where there are too few tasks or strategies
    full: tuple[tuple[float, ...], ...]  # [T, K], ranks at the full budgets of the tasks where each has one


def panels(comparison: Comparison) -> list[RankPanel]:
    """Panels of all strategies, over the tasks that ran all of them, and of the strategies that every task ran."""
    study = comparison.study
    ran = {task: set(study.of_task(task)) for task in study.tasks}
    shared = set.intersection(*ran.values()) if ran else set()
    sets = [set(study.strategies)] + [shared] * (1 < len(shared) < len(study.strategies))
    every = [_panel(comparison, [s for s in study.strategies if s in names]) for names in sets]
    return [panel for panel in every if panel.means]


def widest(comparison: Comparison) -> RankPanel | None:
    """The panel over most tasks; of two over as many, the one with all strategies."""
    return max(panels(comparison), key=lambda panel: len(panel.full), default=None)


def _panel(comparison: Comparison, names: Sequence[str]) -> RankPanel:
    study = comparison.study
    tasks = tuple(t for t in study.tasks if set(names) <= set(study.of_task(t)))
    lines: dict[tuple[str, float], list[float]] = {}
    for task in tasks:
        for budget in study.budgets(task):
            if line := _ranks(comparison, task, budget, names):
                lines[task, budget] = line
    means = {}
    for budget in sorted({b for _, b in lines}):
        ranks_TK = [line for (_, b), line in lines.items() if b == budget]
        means[budget] = ([math.fsum(column) / len(ranks_TK) for column in zip(*ranks_TK, strict=True)], len(ranks_TK))
    full_TK = tuple(tuple(lines[key]) for t in tasks if (key := (t, study.budgets(t)[-1])) in lines)
    return RankPanel(tuple(names), tasks, means, friedman_test(full_TK), full_TK)


def friedman_test(rank_TK: Sequence[Sequence[float]]) -> Friedman | None:
    """Friedman's test of ranks [T, K]; None with fewer than `TASKS` tasks or `STRATEGIES` strategies."""
    if len(rank_TK) < TASKS or len(rank_TK[0]) < STRATEGIES:
        return None
    return friedman(rank_TK)


def _ranks(comparison: Comparison, task: str, budget: float, names: Sequence[str]) -> list[float] | None:
    """Ranks of these strategies among themselves; None unless each has one."""
    group = comparison.at(task, budget)
    if not names or any(s not in group or group[s].rank is None for s in names):
        return None
    finals = [group[s].score.final for s in names]
    return ranks([f.mean if f else math.nan for f in finals], comparison.direction(task))
