"""Strategies beside the declared reference in one task at one budget: differences and verdicts. No text.

A verdict reads the 95 % interval of the differences paired by seed. Where the model has BatchNorm, a difference counts
only if it holds with running statistics and with recalibrated ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench.analysis.comparison import Comparison, Reading, Score, read
from bench.analysis.results import Try
from bench.analysis.stats.equivalence import decide, seeds_to_decide
from bench.analysis.stats.intervals import Interval, difference, magnitude, t_quantile
from bench.analysis.stats.power import detectable
from bench.analysis.stats.swaps import Curves

Word = Literal[
    "better",
    "worse",
    "equal",
    "undecided",
    "BatchNorm statistics only",
    "identical run",
    "nothing learnt",
    "edge of the grid",
    "not judged",
]
"""Verdict on a strategy. At an edge of the grid, of its own or of the reference, the best peak LR may lie outside."""


class VersusReference(NamedTuple):
    """A strategy beside the reference, in one task at one budget."""

    task: str
    strategy: str
    budget: float
    lead: Interval | None  # how much better it is, paired by seed; None where a run diverged, or one was not run
    recalibrated: Interval | None  # the same with recalibrated BatchNorm statistics; None without BatchNorm
    word: Word
    seeds: int | None = None  # number of seeds that would decide, where it is undecided

    def excess(self, margin: float | None) -> bool:
        """True if the difference is larger than the margin with confidence."""
        return margin is not None and self.word in ("better", "worse") and _least(self.lead) > margin


def _least(lead: Interval | None) -> float:
    return 0.0 if lead is None or lead.half is None else max(0.0, abs(lead.mean) - lead.half)


def standings(comparison: Comparison, task: str, budget: float, tries: int = 1) -> dict[str, VersusReference]:
    """All strategies but the reference beside it; {} where the reference was not run.

    With `tries` above 1 the intervals hold for that many strategies together (Bonferroni): for the best of so many.
    """
    reference, group = comparison.reference(task), comparison.at(task, budget)
    if reference not in group:
        return {}
    return {s: _standing(comparison, task, budget, s, tries) for s in group if s != reference}


def joint_standings(comparison: Comparison, task: str, budget: float) -> dict[str, VersusReference]:
    """Standings at a level at which they hold for all strategies together: for what is picked from a column."""
    return standings(comparison, task, budget, tries=max(1, len(comparison.at(task, budget)) - 1))


def _standing(comparison: Comparison, task: str, budget: float, strategy: str, tries: int) -> VersusReference:
    group, direction = comparison.at(task, budget), comparison.direction(task)
    score, other = group[strategy].score, group[comparison.reference(task) or ""].score
    margin = comparison.margin(task)
    lead = widened(other.behind(score, direction), tries)
    recalibrated = widened(other.behind(score, direction, "recalibrated"), tries)
    if not any(t.recalibrated is not None for s in (score, other) for t in s.selected):
        recalibrated = None
    word = _word(comparison, task, budget, strategy, (lead, recalibrated))
    seeds = None
    if word == "undecided" and lead is not None and lead.half is not None:
        seeds = seeds_to_decide(lead.mean, lead.half * math.sqrt(lead.n) / t_quantile(lead.n), margin)
    return VersusReference(task, strategy, budget, lead, recalibrated, word, seeds)


def widened(lead: Interval | None, tries: int) -> Interval | None:
    """The interval at a level at which so many intervals hold together (Bonferroni)."""
    if lead is None or lead.half is None or tries < 2:
        return lead
    return lead._replace(half=lead.half * t_quantile(lead.n, 1 - 0.05 / tries) / t_quantile(lead.n))


def _word(
    comparison: Comparison,
    task: str,
    budget: float,
    strategy: str,
    readings: tuple[Interval | None, Interval | None],
) -> Word:
    reference, group = comparison.reference(task) or "", comparison.at(task, budget)
    score, other = group[strategy].score, group[reference].score
    if reference in group[strategy].identical:
        return "identical run"
    if not comparison.learns(task, budget):
        return "nothing learnt"
    if min(len(score.selected), len(other.selected)) < 2:
        return "not judged"
    if score.diverged or other.diverged:
        if score.diverged == other.diverged:
            return "not judged"
        return "worse" if score.diverged > other.diverged else "better"
    words = [
        decide(i.low, i.high, comparison.margin(task))
        for i in readings
        if i is not None and i.low is not None and i.high is not None
    ]
    if not words:
        return "not judged"
    if len(set(words)) > 1 and words[0] in ("better", "worse"):
        return "BatchNorm statistics only"
    word = words[0] if len(set(words)) == 1 else "undecided"
    if word in ("better", "worse") and (score.edges or other.edges):
        return "edge of the grid"
    return word


def differences(
    comparison: Comparison,
    task: str,
    budget: float,
    strategy: str,
    against: str | None = None,
    reading: Reading = "final",
) -> dict[int, float]:
    """Differences of a strategy from another by seed, above 0 where better; {} where either was not run.

    Where one of the two diverged, the largest difference of the task and budget stands in, for or against (1 if there
    is none above 0). Where both did, the difference is 0.

    Args:
        comparison: What was recorded.
        task: Task by its text.
        budget: Share of its full budget.
        strategy: Strategy by its name.
        against: The other strategy; by default the reference.
        reading: Reading of BatchNorm statistics.
    """
    other, sign = against or comparison.reference(task), 1.0 if comparison.direction(task) == "max" else -1.0
    group = comparison.at(task, budget)
    if other not in group or strategy not in group:
        return {}
    lead = leads(group[strategy].score, group[other].score, sign, reading)
    if not any(map(math.isinf, lead.values())):
        return lead
    largest = _largest(comparison, task, budget, other, reading)
    return {seed: math.copysign(largest, d) if math.isinf(d) else d for seed, d in lead.items()}


def _largest(comparison: Comparison, task: str, budget: float, other: str, reading: Reading) -> float:
    """Largest difference of any strategy from another one; 1 if there is none above 0. It stands for a diverged run."""
    group = comparison.at(task, budget)
    every = (leads(v.score, group[other].score, 1.0, reading) for v in group.values())  # the sign changes no size
    return max((abs(d) for lead in every for d in lead.values() if math.isfinite(d)), default=0.0) or 1.0


def curves(
    comparison: Comparison, task: str, budgets: Sequence[float], pair: tuple[str, str], reading: Reading = "final"
) -> Curves | None:
    """All runs of two strategies at the seeds that both have at these budgets; None where their grids differ in size.

    A diverged run's stand-in is that of `differences`.
    """
    scores = [[comparison.at(task, b)[s].score for s in pair] for b in budgets]
    whole = all(read(t, reading) is not None for both in scores for score in both for t in score.tries)
    # Where nothing diverged nothing stands in, and this is most of the work.
    largest = [1.0 if whole else _largest(comparison, task, b, pair[1], reading) for b in budgets]
    sign = 1.0 if comparison.direction(task) == "max" else -1.0

    def value(t: Try) -> float | None:
        return None if (v := read(t, reading)) is None else sign * v

    return curves_of(scores, largest, sign, value)


def curves_of(
    scores: Sequence[Sequence[Score]], largest: Sequence[float], sign: float, value: Callable[[Try], float | None]
) -> Curves | None:
    """All runs behind pairs of scores, one for each budget, at the seeds of all; None where grids differ in size.

    Args:
        scores: Pairs by budget.
        largest: Difference by budget that stands in where one of two runs diverged.
        sign: 1 where a higher control value is better, -1 where a lower one is.
        value: What is compared of a run, higher is better; None where it diverged.
    """
    seeds = sorted(set.intersection(*({t.seed for t in score.selected} for both in scores for score in both)))
    if len({len(score.peak_lrs) for both in scores for score in both}) != 1:
        return None
    by_budget = [[_grid(score, seeds, sign, value) for score in both] for both in scores]
    control, test = np.moveaxis(np.array(by_budget), (0, 2), (-1, 0))  # [B, 2, split, L, N]
    return Curves(control, test, np.array(largest))


def _grid(score: Score, seeds: Sequence[int], sign: float, value: Callable[[Try], float | None]) -> np.ndarray:
    """Control values and those compared [2, L, N], higher is better; NaN where diverged."""
    at = {(t.peak_lr, t.seed): t for t in score.tries}
    tries = [[at[p, s] for s in seeds] for p in score.peak_lrs]
    control, compared = ([[of(t) for t in row] for row in tries] for of in (lambda t: t.control, value))
    return np.array([sign * np.array(control, float), np.array(compared, float)])


def leads(score: Score, other: Score, sign: float, reading: Reading = "final") -> dict[int, float]:
    """Differences by seed, of the seeds that both scores have; infinite where one of the two runs diverged."""
    values, others = _signed(score, sign, reading), _signed(other, sign, reading)
    scale = magnitude([*values.values(), *others.values()])
    return {s: difference(values[s], others[s], scale) for s in sorted(values.keys() & others.keys())}


def _signed(score: Score, sign: float, reading: Reading) -> dict[int, float]:
    values = {t.seed: read(t, reading) for t in score.selected}
    return {seed: -math.inf if value is None else sign * value for seed, value in values.items()}


def visible(comparison: Comparison, task: str, budget: float) -> float | None:
    """Minimum detectable difference between two typical strategies of a task and budget; None where undefined."""
    group = comparison.at(task, budget).values()
    finals = [[t.final for t in v.score.selected] for v in group if not v.score.diverged]
    most = max(map(len, finals), default=0)
    return detectable([[float(f) for f in line if f is not None] for line in finals if len(line) == most])
