"""Diagnoses of strategies: overfitting, gradient norms, sensitivity to the peak LR, BatchNorm. No text.

They are read at the peak LRs chosen for the seeds on control, and paired by seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

from bench.analysis.comparison import Comparison, Reading, Score
from bench.analysis.history import HistoryInterval, decline
from bench.analysis.results import SEPARATOR, Try
from bench.analysis.stats.intervals import Interval, interval, leader, paired
from bench.plan.plan import updates

Seeds = dict[int, float]
"""A value for each seed that has one."""


class Region(NamedTuple):
    """Peak LRs as good as the best: not clearly worse by the rule of comparison, and adjacent in the grid."""

    low: float
    high: float
    octaves: float  # at least this wide: log2(high / low)
    most: float  # and narrower than this: from the next lower to the next higher that is worse; inf at an edge
    step: float  # widest step of the grid, in octaves: the resolution


class Diagnosis(NamedTuple):
    """Diagnosis of one strategy at one budget of one task. Fields are None where nothing was recorded for them."""

    train_loss: Interval | None
    test_loss: Interval | None
    gap: Interval | None  # test loss minus training loss, at the end
    gap_over: Interval | None  # minus the reference's; below 0: a smaller gap
    decline: Interval | None  # log2 of the gradient norm at the end over that at the beginning
    decline_over: Interval | None  # minus the reference's; above 0: the norm falls less
    region: Region | None
    recalibrated: Interval | None  # final after BatchNorm recalibration, minus with running statistics


class Diagnostics:
    """Diagnoses of a comparison."""

    def __init__(self, comparison: Comparison):
        self.comparison = comparison

    def of(self, task: str, budget: float) -> dict[str, Diagnosis]:
        """The diagnosis of each strategy."""
        group, reference = self.comparison.at(task, budget), self.comparison.reference(task)
        gaps = {s: self.gaps(v.score) for s, v in group.items()}
        declines = {s: self.declines(v.score) for s, v in group.items()}
        return {
            s: Diagnosis(
                _over(self._last(v.score, lambda end: end.train_loss)),
                _over(self._last(v.score, lambda end: end.test_loss)),
                _over(gaps[s]),
                _versus(gaps[s], gaps.get(reference or "", {})) if s != reference else None,
                _over(declines[s]),
                _versus(declines[s], declines.get(reference or "", {})) if s != reference else None,
                region(v.score, self.comparison.direction(task)),
                _recalibration(v.score),
            )
            for s, v in group.items()
        }

    def course(self, t: Try) -> list[HistoryInterval]:
        """The training course of a recorded cell."""
        facts = self.comparison.study.tasks[t.task]
        cohort, segment, total, _ = t.ride
        grid = updates(facts.eval_epochs or 1, 1, facts.epoch_steps)
        return self.comparison.study.courses.of(cohort, segment, total, grid)

    def gaps(self, score: Score, reading: Reading = "final") -> Seeds:
        """Test loss after the last update, minus the mean training loss since the evaluation before it.

        Averages of weights are left out: they have no training loss.
        """
        return {t.seed: gap for t in score.selected if (gap := self.gap(t, reading)) is not None}

    def gap(self, t: Try, reading: Reading = "final") -> float | None:
        """Test loss minus training loss of one run, as in `gaps`; None where it diverged or is an average."""
        if (end := self._end(t)) is None:
            return None
        again = t.recalibrated_loss if reading == "recalibrated" else None
        return (end.test_loss if again is None else again) - end.train_loss

    def _last(self, score: Score, read: Callable[[HistoryInterval], float]) -> Seeds:
        return {t.seed: read(end) for t in score.selected if (end := self._end(t))}

    def _end(self, t: Try) -> HistoryInterval | None:
        """The last part of a run's course."""
        course = self.course(t) if t.final is not None and t.ride[3] == "none" else []
        return course[-1] if course else None

    def declines(self, score: Score) -> Seeds:
        """Values of log2 of `decline` for the selected runs that finished."""
        ratios = {t.seed: decline(self.course(t)) for t in score.selected if t.final is not None}
        return {seed: math.log2(ratio) for seed, ratio in ratios.items() if ratio}


def _over(values: Seeds) -> Interval | None:
    return interval(list(values.values())) if values else None


def _versus(values: Seeds, other: Seeds) -> Interval | None:
    seeds = sorted(values.keys() & other.keys())
    return paired([values[s] for s in seeds], [other[s] for s in seeds]) if seeds else None


def _recalibration(score: Score) -> Interval | None:
    """Recalibrated minus running statistics; None for an average, whose statistics are always recalibrated."""
    pairs = [(t.recalibrated, t.final) for t in score.selected if t.ride[3] == "none"]
    sound = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not sound or len(sound) < len(pairs):
        return None
    recalibrated, running = map(list, zip(*sound, strict=True))
    return paired(recalibrated, running, score.grain)


# --------------------------------------------------------------------------------------------- sensitivity


def region(score: Score, direction: str) -> Region | None:
    """Good region around the peak LR with the best mean; None with one seed, one peak LR, or where all failed."""
    peaks, finals = score.peak_lrs, finals_by_peak(score)
    sound = [lr for lr in peaks if lr in finals]
    if len(peaks) < 2 or not sound or len(finals[sound[0]]) < 2:
        return None
    sign = 1.0 if direction == "max" else -1.0
    top = leader(finals, finals[sound[0]], direction)
    good = [lr in finals and not behind(finals[top], finals[lr], sign, score.grain) for lr in peaks]
    low = high = peaks.index(top)
    while low > 0 and good[low - 1]:
        low -= 1
    while high + 1 < len(peaks) and good[high + 1]:
        high += 1
    most = math.log2(peaks[high + 1] / peaks[low - 1]) if low > 0 and high + 1 < len(peaks) else math.inf
    step = max(math.log2(b / a) for a, b in pairwise(peaks))
    return Region(peaks[low], peaks[high], math.log2(peaks[high] / peaks[low]), most, step)


def finals_by_peak(score: Score) -> dict[float, Seeds]:
    """Final values by peak LR, over the seeds selected; without the peak LRs where one of them diverged."""
    seeds = {t.seed for t in score.selected}
    by_peak: dict[float, Seeds] = {}
    for t in score.tries:
        if t.seed in seeds and t.final is not None:
            by_peak.setdefault(t.peak_lr, {})[t.seed] = t.final
    return {lr: values for lr, values in by_peak.items() if values.keys() == seeds}


def behind(top: Mapping[int, float], other: Mapping[int, float], sign: float, grain: float) -> bool:
    """True where the other is clearly worse: the interval of `sign` (top - other), paired by seed, lies above 0."""
    lead = paired([sign * top[s] for s in sorted(top)], [sign * other[s] for s in sorted(top)], grain)
    return lead.excludes_zero and lead.mean > 0


# ---------------------------------------------------------------------------------------------- averagings


def beside_averages(comparison: Comparison, task: str) -> dict[str, dict[str, Interval]]:
    """Difference of each decay from each average of a constant LR, above 0 where the decay is better.

    By decay, then average; at the largest budget, paired by seed, for the task's first optimizer and weight decay.
    Where the model has BatchNorm, both are read with recalibrated statistics, as an average always is.
    """
    reference, full = comparison.reference(task), comparison.full(task)
    if reference is None:
        return {}
    averages = [s for s, v in full.items() if s == f"{reference}{SEPARATOR}{v.score.tries[0].ride[3]}"]
    usual = [s for s in full if s != reference and SEPARATOR not in s]
    sign = 1.0 if comparison.direction(task) == "max" else -1.0
    values = {s: _signed(full[s].score, sign) for s in (*averages, *usual)}
    rows: dict[str, dict[str, Interval]] = {}
    for decay in usual:
        for average in averages:
            if (lead := _versus(values[decay], values[average])) is not None:
                rows.setdefault(decay, {})[average] = lead
    return rows


def _signed(score: Score, sign: float) -> Seeds:
    """Final values times `sign`, with recalibrated statistics where there are any; without runs that diverged."""
    finals = {t.seed: t.final if t.recalibrated is None else t.recalibrated for t in score.selected}
    return {seed: sign * final for seed, final in finals.items() if final is not None}
