"""Why a strategy ended as it did: overfitting, gradient norms, sensitivity, BatchNorm. No text.

All of it is read at the peak LRs that were chosen for the seeds on control, and paired by seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

from bench.analysis.comparison import Comparison, Score
from bench.analysis.history import HistoryInterval, decline
from bench.analysis.results import SEPARATOR, Try
from bench.analysis.stats.intervals import Interval, interval, paired

Seeds = dict[int, float]
"""A value for each seed that has one."""


class Region(NamedTuple):
    """Peak LRs as good as the best: not clearly worse by the rule of comparison, and beside each other in the grid."""

    low: float
    high: float
    octaves: float  # at least this wide: log2(high / low)
    most: float  # and narrower than this: from the next lower to the next higher that is worse; inf at an edge
    step: float  # widest step of the grid, in octaves: what it cannot see


class Diagnosis(NamedTuple):
    """One strategy at one budget of one task. None where it cannot be told."""

    train_loss: Interval | None
    test_loss: Interval | None
    gap: Interval | None  # test loss minus training loss, at the end
    gap_over: Interval | None  # minus the reference's; below 0: less
    decline: Interval | None  # log2 of the gradient norm at the end over that at the beginning
    decline_over: Interval | None  # minus the reference's; above 0: the norm is kept better
    region: Region | None
    recalibrated: Interval | None  # final after BatchNorm recalibration, minus with running statistics


class Diagnostics:
    """Diagnoses of a comparison."""

    def __init__(self, it: Comparison):
        self.comparison = it

    def of(self, task: str, budget: float) -> dict[str, Diagnosis]:
        """The diagnosis of each strategy."""
        group, against = self.comparison.at(task, budget), self.comparison.reference(task)
        gaps = {s: self.gaps(v.score) for s, v in group.items()}
        declines = {s: self.declines(v.score) for s, v in group.items()}
        return {
            s: Diagnosis(
                _over(self._last(v.score, lambda end: end.train_loss)),
                _over(self._last(v.score, lambda end: end.test_loss)),
                _over(gaps[s]),
                _versus(gaps[s], gaps.get(against or "", {})) if s != against else None,
                _over(declines[s]),
                _versus(declines[s], declines.get(against or "", {})) if s != against else None,
                region(v.score, self.comparison.direction(task)),
                _anew(v.score),
            )
            for s, v in group.items()
        }

    def course(self, it: Try) -> list[HistoryInterval]:
        """What a recorded cell went through."""
        facts = self.comparison.study.tasks[it.task]
        cohort, segment, total, _ = it.ride
        return self.comparison.study.courses.of(cohort, segment, total, (facts.eval_epochs or 1) * facts.epoch_steps)

    def gaps(self, score: Score) -> Seeds:
        """Test loss after the last update, minus the mean training loss since the evaluation before it.

        An average of weights has no training loss: nothing is told of it.
        """
        return self._last(score, lambda end: end.test_loss - end.train_loss)

    def _last(self, score: Score, read: Callable[[HistoryInterval], float]) -> Seeds:
        sound = [t for t in score.selected if t.final is not None and t.ride[3] == "none"]
        ends = {t.seed: course[-1] for t in sound if (course := self.course(t))}
        return {seed: read(end) for seed, end in ends.items()}

    def declines(self, score: Score) -> Seeds:
        """log2 of `decline` for each chosen run that was finished."""
        ratios = {t.seed: decline(self.course(t)) for t in score.selected if t.final is not None}
        return {seed: math.log2(ratio) for seed, ratio in ratios.items() if ratio}


def _over(values: Seeds) -> Interval | None:
    return interval(list(values.values())) if values else None


def _versus(mine: Seeds, theirs: Seeds) -> Interval | None:
    both = sorted(mine.keys() & theirs.keys())
    return paired([mine[s] for s in both], [theirs[s] for s in both]) if both else None


def _anew(score: Score) -> Interval | None:
    """Recalibrated minus running statistics; None for an average, whose statistics are always computed anew."""
    pairs = [(t.recalibrated, t.final) for t in score.selected if t.ride[3] == "none"]
    sound = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not sound or len(sound) < len(pairs):
        return None
    recalibrated, running = map(list, zip(*sound, strict=True))
    return paired(recalibrated, running, score.grain)


# --------------------------------------------------------------------------------------------- sensitivity


def region(score: Score, direction: str) -> Region | None:
    """The good region around the peak LR with the best mean; None with one seed, one peak LR, or where all failed."""
    peaks, finals = score.peak_lrs, finals_by_peak(score)
    sound = [lr for lr in peaks if lr in finals]
    if len(peaks) < 2 or not sound or len(finals[sound[0]]) < 2:
        return None
    sign = 1.0 if direction == "max" else -1.0
    best = max(sound, key=lambda lr: sign * math.fsum(finals[lr].values()))
    good = [lr in finals and not behind(finals[best], finals[lr], sign, score.grain) for lr in peaks]
    low = high = peaks.index(best)
    while low > 0 and good[low - 1]:
        low -= 1
    while high + 1 < len(peaks) and good[high + 1]:
        high += 1
    most = math.log2(peaks[high + 1] / peaks[low - 1]) if low > 0 and high + 1 < len(peaks) else math.inf
    step = max(math.log2(b / a) for a, b in pairwise(peaks))
    return Region(peaks[low], peaks[high], math.log2(peaks[high] / peaks[low]), most, step)


def finals_by_peak(score: Score) -> dict[float, Seeds]:
    """Final values by peak LR, over the seeds that a peak LR was chosen for; without the peak LRs that lost one."""
    whole = {t.seed for t in score.selected}
    by: dict[float, Seeds] = {}
    for t in score.tries:
        if t.seed in whole and t.final is not None:
            by.setdefault(t.peak_lr, {})[t.seed] = t.final
    return {lr: values for lr, values in by.items() if values.keys() == whole}


def behind(best: Mapping[int, float], other: Mapping[int, float], sign: float, grain: float) -> bool:
    """Whether the other is clearly worse: `sign` (best - other), paired by seed, lies wholly above 0."""
    lead = paired([sign * best[s] for s in sorted(best)], [sign * other[s] for s in sorted(best)], grain)
    return lead.excludes_zero and lead.mean > 0


# ---------------------------------------------------------------------------------------------- averagings


def beside_averages(it: Comparison, task: str) -> dict[str, dict[str, Interval]]:
    """How much better each decay ended than each average of a constant LR: by decay, then average.

    At the largest budget, paired by seed, over the task's first optimizer and weight decay. Where the model has
    BatchNorm both are read with statistics computed anew, as an average always is.
    """
    against, full = it.reference(task), it.full(task)
    if against is None:
        return {}
    kind = against.partition(SEPARATOR)[2]
    prefix = against + (", " if kind else SEPARATOR)
    averages = [s for s, v in full.items() if s.startswith(prefix) and v.score.tries[0].ride[3] != "none"]
    usual = [s for s in full if s != against and s not in averages and s.partition(SEPARATOR)[2] == kind]
    sign = 1.0 if it.direction(task) == "max" else -1.0
    read = {s: {t.seed: _read(t) for t in full[s].score.selected} for s in (*averages, *usual)}
    rows: dict[str, dict[str, Interval]] = {}
    for decay in usual:
        for average in averages:
            mine, theirs = ({s: sign * v for s, v in read[x].items() if v is not None} for x in (decay, average))
            if (lead := _versus(mine, theirs)) is not None:
                rows.setdefault(decay, {})[average] = lead
    return rows


def _read(t: Try) -> float | None:
    return t.final if t.recalibrated is None else t.recalibrated
