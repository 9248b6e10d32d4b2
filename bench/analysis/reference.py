"""Every strategy against the one that was declared before the run: tests, budget worth, what could be seen. No text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis.comparison import Comparison, Score
from bench.analysis.stats.equivalent_budget import Worth, worth
from bench.analysis.stats.intervals import TIE, difference
from bench.analysis.stats.power import detectable
from bench.analysis.stats.tests import Flip, Share, holm, improvement, sign_flip

ALPHA = 0.04
"""Significant is a corrected p of at most this. The peak LRs of a task's seeds are chosen by each other, so its blocks
are not wholly independent: on 10,000 simulated experiments of the size of `core` without any true difference, 0.05
would call something significant in 5.3 %, and with the peak LRs fixed in 4.1 % (`tests/analysis/simulate.py`)."""


class ReferenceTest(NamedTuple):
    """One strategy tested against the reference over all tasks that ran both, at each task's largest budget."""

    strategy: str
    flip: Flip  # effect above 0: better than the reference
    adjusted: float  # p after Holm's correction for the strategies tested
    improvement: Share  # of the blocks
    tasks: tuple[int, int, int]  # in how many its mean difference is better, worse, exactly 0

    @property
    def significant(self) -> bool:
        return self.adjusted <= ALPHA


def differences(it: Comparison, task: str, budget: float, strategy: str) -> list[float]:
    """How much better a strategy ended than the reference with each seed [N]; empty where either is not there.

    A seed that diverged counts as the largest difference of the task and budget, for or against (1 if there is none
    above 0), and as 0 where both did.
    """
    against, sign = it.reference(task), 1.0 if it.direction(task) == "max" else -1.0
    group = it.at(task, budget)
    if against not in group:
        return []
    lead = {s: leads(v.score, group[against].score, sign) for s, v in group.items()}
    most = max((abs(d) for line in lead.values() for d in line if math.isfinite(d)), default=0.0) or 1.0
    return [math.copysign(most, d) if math.isinf(d) else d for d in lead.get(strategy, [])]


def leads(mine: Score, theirs: Score, sign: float) -> list[float]:
    """Differences over the seeds that both have; infinite where one of the two diverged."""
    mine_, theirs_ = (
        {t.seed: -math.inf if t.final is None else sign * t.final for t in x.selected} for x in (mine, theirs)
    )
    pairs = [(mine_[s], theirs_[s]) for s in sorted(mine_.keys() & theirs_.keys())]
    return [difference(a, b) for a, b in pairs]


def tests(it: Comparison) -> list[ReferenceTest]:
    """The primary test of every strategy, the lowest p first; Holm's correction is over all of them.

    A task with a single seed takes no part: its peak LR was chosen by that seed itself.
    """
    found = []
    for strategy in it.study.strategies:
        strata = [
            differences(it, task, it.study.budgets(task)[-1], strategy)
            for task in it.study.tasks
            if strategy != it.reference(task)
        ]
        strata = [d_N for d_N in strata if len(d_N) > 1]
        if strata:
            found.append((strategy, sign_flip(strata), strata))
    adjusted = holm([flip.p for _, flip, _ in found])
    made = [
        ReferenceTest(s, flip, p, improvement([d for d_N in strata for d in d_N]), _signs(strata))
        for (s, flip, strata), p in zip(found, adjusted, strict=True)
    ]
    return sorted(made, key=lambda test: (test.flip.p, -test.flip.effect))


def _signs(strata: Sequence[Sequence[float]]) -> tuple[int, int, int]:
    sums = [(math.fsum(d_N), TIE * math.fsum(map(abs, d_N))) for d_N in strata]  # +0.01 and −0.01 leave a last bit
    better, worse = sum(m > least for m, least in sums), sum(m < -least for m, least in sums)
    return better, worse, len(sums) - better - worse


def worths(it: Comparison, task: str) -> dict[tuple[str, float], Worth]:
    """Budget worth of each strategy at each budget of a task; nothing for what diverged or is not there.

    It is over the seeds that the reference finished at every budget of its curve; a budget at which it lost a seed is
    none of them. A run of the reference's own is worth its budget.
    """
    curve, against = _curve(it, task), it.reference(task)
    if not curve:
        return {}
    found = {}
    for budget in it.study.budgets(task):
        for strategy, verdict in it.at(task, budget).items():
            if against in (strategy, *verdict.identical):
                found[strategy, budget] = Worth(budget, budget, budget)
                continue
            mine = {t.seed: t.final for t in verdict.score.selected}
            seeds = [s for s in next(iter(curve.values())) if mine.get(s) is not None]
            if seeds and not verdict.score.diverged:
                curve_BN = np.array([[line[s] for s in seeds] for line in curve.values()])
                values_N = [float(mine[s] or 0.0) for s in seeds]
                found[strategy, budget] = worth(curve_BN, list(curve), values_N, it.direction(task))
    return found


def _curve(it: Comparison, task: str) -> dict[float, dict[int, float]]:
    """Final values of the reference by budget, then seed: where it lost no seed, of the seeds there everywhere."""
    against = it.reference(task)
    scores = {b: group[against].score for b in it.study.budgets(task) if against in (group := it.at(task, b))}
    finals = {
        b: {t.seed: t.final for t in s.selected if t.final is not None} for b, s in scores.items() if not s.diverged
    }
    seeds = sorted(set.intersection(*map(set, finals.values()))) if finals else []
    return {b: {s: line[s] for s in seeds} for b, line in finals.items()} if seeds else {}


def visible(it: Comparison, task: str, budget: float) -> float | None:
    """Minimum detectable difference between two typical strategies of a task and budget; None if not to be said."""
    finals = [[t.final for t in v.score.selected] for v in it.at(task, budget).values() if not v.score.diverged]
    most = max(map(len, finals), default=0)
    return detectable([[float(f) for f in line if f is not None] for line in finals if len(line) == most])
