"""Ranks across tasks: means, counts of first places, and what can be tested of them. No text.

K = strategies, T = tasks.

A rank says nothing of distance, and budgets of one task are no independent judges: means and counts over budgets
describe. Tested are the ranks at the full budget, over tasks, where there are enough of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from bench.analysis.comparison import Comparison
from bench.analysis.stats.intervals import LEVEL, ranks

TASKS, STRATEGIES = 5, 3
"""Fewest that Friedman's test is made with. Under the null (20,000 simulated experiments, 3 to 13 strategies) its F
rejects 4 to 6 % with 5 tasks, up to 7 % with 4 and up to 20 % with 3; two strategies have no third to rank against."""

LOW = 0.25
"""Budgets below this share count as low, as in Table 1 of REX (arXiv:2107.04197)."""


class Friedman(NamedTuple):
    """Whether ranks differ between strategies at all, and how far apart two mean ranks must lie to differ."""

    tasks: int
    statistic: float  # F of Iman and Davenport
    p: float
    distance: float  # Nemenyi's critical difference of two mean ranks


class Count(NamedTuple):
    """In how many of so many (task, budget) columns a strategy was first, and among the first three."""

    first: int
    three: int
    columns: int


class RankPanel(NamedTuple):
    """Ranks of some strategies, among themselves, over the tasks that ran all of them."""

    strategies: tuple[str, ...]
    tasks: tuple[str, ...]
    means: dict[float, tuple[list[float], int]]  # by budget: mean rank of each strategy, and of how many tasks
    low: tuple[Count, ...]  # of each strategy, at budgets below a quarter
    high: tuple[Count, ...]  # and at the others
    test: Friedman | None  # at the full budgets; None where there are too few tasks or strategies
    full: tuple[tuple[float, ...], ...]  # [T, K], ranks at the full budgets of the tasks where each has one


def panels(it: Comparison) -> list[RankPanel]:
    """Of all strategies, where a task ran them all; and of those that every task ran."""
    study = it.study
    ran = {task: set(study.of_task(task)) for task in study.tasks}
    shared = set.intersection(*ran.values()) if ran else set()
    sets = [set(study.strategies)] + [shared] * (1 < len(shared) < len(study.strategies))
    drawn = [_panel(it, [s for s in study.strategies if s in names]) for names in sets]
    return [panel for panel in drawn if panel.means]


def _panel(it: Comparison, names: Sequence[str]) -> RankPanel:
    study = it.study
    tasks = tuple(t for t in study.tasks if set(names) <= set(study.of_task(t)))
    lines = {(t, b): line for t in tasks for b in study.budgets(t) if (line := _ranks(it, t, b, names))}
    means = {}
    for budget in sorted({b for _, b in lines}):
        here = [line for (_, b), line in lines.items() if b == budget]
        means[budget] = ([math.fsum(column) / len(here) for column in zip(*here, strict=True)], len(here))
    low, high = (
        _counts([line for (_, b), line in lines.items() if (b < LOW) == side], names) for side in (True, False)
    )
    rank_TK = tuple(tuple(lines[key]) for t in tasks if (key := (t, study.budgets(t)[-1])) in lines)
    return RankPanel(tuple(names), tasks, means, low, high, friedman(rank_TK), rank_TK)


def _ranks(it: Comparison, task: str, budget: float, names: Sequence[str]) -> list[float] | None:
    """Ranks of these strategies among themselves; None unless each has one."""
    group = it.at(task, budget)
    if not names or any(s not in group or group[s].rank is None for s in names):
        return None
    finals = [group[s].score.final for s in names]
    return ranks([f.mean if f else math.nan for f in finals], it.direction(task))


def _counts(lines: Sequence[Sequence[float]], names: Iterable[str]) -> tuple[Count, ...]:
    """Strategies that share a place all hold it: an average rank of 1.5 is two first places."""
    places = [[r - (line.count(r) - 1) / 2 for r in line] for line in lines]
    return tuple(
        Count(sum(p[i] <= 1 for p in places), sum(p[i] <= 3 for p in places), len(places)) for i, _ in enumerate(names)
    )


def friedman(rank_TK: Sequence[Sequence[float]]) -> Friedman | None:
    """Friedman's test by Iman and Davenport's F, and Nemenyi's critical difference (Demsar 2006, JMLR 7, 3.2.2).

    F = (T - 1) X / (T (K - 1) - X), with X Friedman's statistic (ties corrected), has K - 1 and (K - 1)(T - 1) degrees
    of freedom; the critical difference is q sqrt(K (K + 1) / 6 T), q the 95 % quantile of the studentized range of K
    over sqrt(2). None with fewer than `TASKS` tasks or `STRATEGIES` strategies.
    """
    if len(rank_TK) < TASKS or len(rank_TK[0]) < STRATEGIES:
        return None
    from scipy.special import fdtrc
    from scipy.stats import friedmanchisquare

    t, k = len(rank_TK), len(rank_TK[0])
    distance = _range(k) * math.sqrt(k * (k + 1) / (12 * t))
    if all(len(set(line)) == 1 for line in rank_TK):  # all tie everywhere
        return Friedman(t, 0.0, 1.0, distance)
    chi = float(friedmanchisquare(*np.asarray(rank_TK).T).statistic)
    rest = t * (k - 1) - chi
    statistic = (t - 1) * chi / rest if rest > 1e-9 else math.inf
    return Friedman(t, statistic, float(fdtrc(k - 1, (k - 1) * (t - 1), statistic)), distance)


@cache
def _range(k: int) -> float:
    """95 % quantile of the studentized range of k, with all degrees of freedom: half a second of work."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(LEVEL, k, np.inf))
