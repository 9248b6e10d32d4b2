"""Strategies against the declared reference: tests, budget worth, and minimum detectable difference. No text."""

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
"""Largest corrected p that is significant. The peak LRs of a task's seeds are chosen by each other, so its blocks are
not wholly independent: on 10,000 simulated experiments of the size of `core` without any true difference, 0.05
would call something significant in 5.3 %, and with the peak LRs fixed in 4.1 % (`tests/analysis/simulate.py`)."""


class ReferenceTest(NamedTuple):
    """One strategy tested against the reference over all tasks that ran both, at each task's largest budget."""

    strategy: str
    flip: Flip  # effect above 0: better than the reference
    adjusted: float  # p after Holm's correction for the strategies tested
    improvement: Share  # of the blocks
    tasks: tuple[int, int, int]  # numbers of tasks where its mean difference is better, worse, exactly 0

    @property
    def significant(self) -> bool:
        return self.adjusted <= ALPHA


def differences(comparison: Comparison, task: str, budget: float, strategy: str) -> list[float]:
    """Differences of a strategy from the reference by seed [N], above 0 where better; [] where either was not run.

    Where one of the two diverged, the largest difference of the task and budget stands in, for or against (1 if there
    is none above 0). Where both did, the difference is 0.
    """
    reference, sign = comparison.reference(task), 1.0 if comparison.direction(task) == "max" else -1.0
    group = comparison.at(task, budget)
    if reference not in group:
        return []
    lead = {s: leads(v.score, group[reference].score, sign) for s, v in group.items()}
    largest = max((abs(d) for lead_N in lead.values() for d in lead_N if math.isfinite(d)), default=0.0) or 1.0
    return [math.copysign(largest, d) if math.isinf(d) else d for d in lead.get(strategy, [])]


def leads(score: Score, other: Score, sign: float) -> list[float]:
    """Differences over the seeds that both scores have; infinite where one of the two runs diverged."""
    values, others = _signed_finals(score, sign), _signed_finals(other, sign)
    return [difference(values[s], others[s]) for s in sorted(values.keys() & others.keys())]


def _signed_finals(score: Score, sign: float) -> dict[int, float]:
    return {t.seed: -math.inf if t.final is None else sign * t.final for t in score.selected}


def tests(comparison: Comparison) -> list[ReferenceTest]:
    """The primary test of each strategy, lowest p first, with Holm's correction over all of them.

    A task with a single seed takes no part: its peak LR was chosen by that seed itself.
    """
    strata = {s: d for s in comparison.study.strategies if (d := _strata(comparison, s))}
    flips = {s: sign_flip(by_task) for s, by_task in strata.items()}
    adjusted = holm([flip.p for flip in flips.values()])
    every = []
    for (strategy, by_task), p in zip(strata.items(), adjusted, strict=True):
        share = improvement([d for d_N in by_task for d in d_N])
        every.append(ReferenceTest(strategy, flips[strategy], p, share, _signs(by_task)))
    return sorted(every, key=lambda test: (test.flip.p, -test.flip.effect))


def _strata(comparison: Comparison, strategy: str) -> list[list[float]]:
    """Differences from the reference by task, then seed, at each task's largest budget; of two seeds or more."""
    study = comparison.study
    others = (task for task in study.tasks if strategy != comparison.reference(task))
    strata = (differences(comparison, task, study.budgets(task)[-1], strategy) for task in others)
    return [d_N for d_N in strata if len(d_N) > 1]


def _signs(strata: Sequence[Sequence[float]]) -> tuple[int, int, int]:
    """Numbers of tasks with a mean difference above 0, below 0, and of 0 up to rounding."""
    sums = [(math.fsum(d_N), TIE * math.fsum(map(abs, d_N))) for d_N in strata]  # +0.01 - 0.01 may leave a last bit
    better, worse = sum(m > least for m, least in sums), sum(m < -least for m, least in sums)
    return better, worse, len(sums) - better - worse


def worths(comparison: Comparison, task: str) -> dict[tuple[str, float], Worth]:
    """Budget worth by (strategy, budget) of a task, without strategies that diverged or were not run.

    It is computed over the seeds that the reference finished at every budget of its curve. The curve has no budget at
    which the reference diverged. A run identical to the reference is worth its own budget.
    """
    curve, reference = _curve(comparison, task), comparison.reference(task)
    if not curve:
        return {}
    by_strategy = {}
    for budget in comparison.study.budgets(task):
        for strategy, verdict in comparison.at(task, budget).items():
            if reference in (strategy, *verdict.identical):
                by_strategy[strategy, budget] = Worth(budget, budget, budget)
                continue
            finals = {t.seed: t.final for t in verdict.score.selected}
            seeds = [s for s in next(iter(curve.values())) if finals.get(s) is not None]
            if seeds and not verdict.score.diverged:
                curve_BN = np.array([[line[s] for s in seeds] for line in curve.values()])
                values_N = [float(finals[s] or 0.0) for s in seeds]
                by_strategy[strategy, budget] = worth(curve_BN, list(curve), values_N, comparison.direction(task))
    return by_strategy


def _curve(comparison: Comparison, task: str) -> dict[float, dict[int, float]]:
    """Final values of the reference by budget, then seed: budgets without divergence, seeds that all of them have."""
    reference, finals = comparison.reference(task), dict[float, dict[int, float]]()
    for budget in comparison.study.budgets(task):
        group = comparison.at(task, budget)
        if reference in group and not group[reference].score.diverged:
            selected = group[reference].score.selected
            finals[budget] = {t.seed: t.final for t in selected if t.final is not None}
    seeds = sorted(set.intersection(*map(set, finals.values()))) if finals else []
    return {b: {s: line[s] for s in seeds} for b, line in finals.items()} if seeds else {}


def visible(comparison: Comparison, task: str, budget: float) -> float | None:
    """Minimum detectable difference between two typical strategies of a task and budget; None where undefined."""
    group = comparison.at(task, budget).values()
    finals = [[t.final for t in v.score.selected] for v in group if not v.score.diverged]
    most = max(map(len, finals), default=0)
    return detectable([[float(f) for f in line if f is not None] for line in finals if len(line) == most])
