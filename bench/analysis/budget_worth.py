"""Worth of strategies in budget of the reference: the share of the budget at which it ends as well. No text."""

from __future__ import annotations

import numpy as np

from bench.analysis.comparison import Comparison
from bench.analysis.stats.equivalent_budget import Worth, worth


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
