"""The comparison of strategies: final values, ranks, and differences judged against the noise. No text, no figures.

Peak LRs are chosen on control, for each seed by the *other* seeds if there are enough; everything reported is on test.
A beats B when the mean of the differences paired by seed exceeds the half-width of its 95 % t interval
(`results/README.md`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from bench.analysis.results import Study, Try
from bench.analysis.stats.intervals import Interval, choose, interval, paired, pick, ranks
from bench.metrics import METRICS

Fate = Literal["diverged", "failed"]
Word = Literal["best", "tied best", "identical run", "within noise", "worse", "not judged"] | Fate

Reading = Literal["final", "recalibrated"]
"""Statistics of BatchNorm that a final value was read with: the running ones, or those of training batches."""

FIRST = ("best", "tied best")
"""Verdicts that rank first: alone (with runs identical to it), or with different runs of an equal mean."""

ON_TEST = ("final", "best", "recalibrated")
"""Fields of a try that are values of the metric on the test split."""


def fate(tries: Iterable[Try]) -> Fate:
    """Fate of tries of which some were lost: failed if a schedule's error is among the reasons, else diverged."""
    return "failed" if any(t.error for t in tries) else "diverged"


@dataclass(frozen=True)
class Score:
    """All tries of one strategy at one budget of one task, and those at the peak LR chosen for each seed."""

    tries: tuple[Try, ...]
    selected: tuple[Try, ...]  # one a seed, ascending; of seeds that have every peak LR only
    pick: float | None = None  # the peak LR that the control values of all these seeds choose together
    grain: float = 0.0  # spacing of the values that the metric can have on the test split

    @classmethod
    def of(cls, tries: Sequence[Try], direction: str, grain: float = 0.0) -> Score:
        """Score of tries. Seeds that lack a peak LR (the run was cut short) are not selected."""
        at = {(t.peak_lr, t.seed): t for t in tries}
        peaks, seeds = sorted({p for p, _ in at}), sorted({s for _, s in at})
        whole = [s for s in seeds if all((p, s) in at for p in peaks)]
        if not whole:
            return cls(tuple(tries), (), grain=grain)
        control_LN = np.array([[_float(at[p, s].control) for s in whole] for p in peaks])
        rows = choose(control_LN, direction)
        selected = tuple(at[peaks[row], s] for row, s in zip(rows, whole, strict=True))
        return cls(tuple(tries), selected, peaks[pick(control_LN, direction)], grain)

    @property
    def peak_lrs(self) -> tuple[float, ...]:
        return tuple(sorted({t.peak_lr for t in self.tries}))

    @property
    def diverged(self) -> int:
        """Number of selected tries that diverged or failed. One is enough to rank last: there is no mean."""
        return sum(t.final is None for t in self.selected)

    @property
    def edges(self) -> tuple[str, ...]:
        """End of the grid ("low", "high") at which the pick lies; () for a grid of two, which is all edges."""
        grid = self.peak_lrs
        return tuple(side for side, end in (("low", grid[0]), ("high", grid[-1])) if len(grid) > 2 and end == self.pick)

    def over_seeds(self, field: str) -> Interval | None:
        """Interval of a field over the selected tries; None where one of them lacks it."""
        return _interval([getattr(t, field) for t in self.selected], self.grain if field in ON_TEST else 0.0)

    def secondary(self, metric: str) -> Interval | None:
        """Interval of another final test metric over the selected tries; None where one of them lacks it."""
        return _interval([dict(t.secondary).get(metric) for t in self.selected], 0.0)

    @cached_property
    def final(self) -> Interval | None:
        return self.over_seeds("final")

    def behind(self, other: Score, direction: str, reading: Reading = "final") -> Interval | None:
        """Differences from `other`, paired by seed; positive where this is worse."""
        return lead(other.selected, self.selected, direction, self.grain, reading)

    def at_peak(self, peak_lr: float) -> tuple[Interval | None, int, int]:
        """(interval of the final values, diverged, tries) at one peak LR, over the seeds that have it."""
        values = [t.final for t in self.tries if t.peak_lr == peak_lr]
        sound = [v for v in values if v is not None]
        whole = sound and len(sound) == len(values)
        return (interval(sound, self.grain) if whole else None), len(values) - len(sound), len(values)


def _interval(values: Sequence[float | None], grain: float) -> Interval | None:
    """Interval of values that are all there; None otherwise."""
    known = [x for x in values if x is not None]
    return interval(known, grain) if known and len(known) == len(values) else None


def read(t: Try, reading: Reading = "final") -> float | None:
    """A reading of a try. Without BatchNorm, and for averages, there is only one; None if the run diverged."""
    return t.recalibrated if reading == "recalibrated" and t.recalibrated is not None else t.final


def lead(
    one: Iterable[Try], other: Iterable[Try], direction: str, grain: float, reading: Reading = "final"
) -> Interval | None:
    """Differences from other tries, paired by seed, positive where better; None without pairs, or if one diverged."""
    tries, others = ({t.seed: t for t in side} for side in (one, other))
    pairs = [(tries[s], others[s]) for s in sorted(tries.keys() & others.keys())]
    if not pairs or any(t.final is None for pair in pairs for t in pair):
        return None
    if all(a.ride == b.ride for a, b in pairs):  # one run, so the difference is known to be 0
        return Interval(0.0, 0.0 if len(pairs) > 1 else None, len(pairs))
    a, b = ([_float(read(t, reading)) for t in side] for side in zip(*pairs, strict=True))
    return paired(a, b, grain) if direction == "max" else paired(b, a, grain)


class Verdict(NamedTuple):
    """Standing of a score among the strategies of the same task and budget."""

    score: Score
    rank: float | None  # None: no seed is complete
    identical: tuple[str, ...]  # strategies whose chosen cells rode the same members to the end
    behind: Interval | None  # how much worse than the best-ranked one, paired by seed
    word: Word


def judge(scores: Mapping[str, Score], direction: str) -> dict[str, Verdict]:
    """Rank the scores of one task and budget, and compare each with the best-ranked one."""
    ready = [s for s, score in scores.items() if score.selected]
    means = [final.mean if (final := scores[s].final) else math.nan for s in ready]
    rank = dict(zip(ready, ranks(means, direction), strict=True))
    sound = [s for s in ready if scores[s].final]
    rides = {s: tuple(t.ride for t in scores[s].selected) for s in ready}
    first = [s for s in sound if rank[s] == min(rank[o] for o in sound)]
    best = first[0] if first else None
    tied = len({rides[s] for s in first}) > 1

    def verdict(s: str) -> Verdict:
        same = tuple(o for o in ready if o != s and rides[o] == rides.get(s))
        behind = scores[s].behind(scores[best], direction) if best else None
        return Verdict(scores[s], rank.get(s), same, behind, word(s, same, behind))

    def word(s: str, same: Sequence[str], behind: Interval | None) -> Word:
        if tied and s in first:
            return "tied best"
        if s == best:
            return "best"
        if best in same:
            return "identical run"
        if scores[s].diverged:
            return fate(scores[s].selected)
        if behind is None or behind.half is None:
            return "not judged"
        return "worse" if behind.excludes_zero else "within noise"

    return {s: verdict(s) for s in scores}


@dataclass(frozen=True)
class Comparison:
    """A study with its strategies ranked and judged."""

    study: Study

    def direction(self, task: str) -> str:
        return self.study.tasks[task].direction

    def examples(self, task: str) -> int | None:
        """Number of test examples that the metric is a share of; None where it is no share."""
        facts = self.study.tasks[task]
        return facts.sizes.get("test") if facts.metric in METRICS and METRICS[facts.metric].share else None

    def margin(self, task: str) -> float | None:
        """Smallest difference worth having, as the task states it."""
        margin = self.study.tasks[task].margin
        return None if margin is None else margin.value

    def learns(self, task: str, budget: float) -> bool:
        """True if a strategy is shown to get beyond the trivial baseline: its interval or, with one seed, its value."""
        return any(self._beyond(task, verdict.score.final) for verdict in self.at(task, budget).values())

    def _beyond(self, task: str, final: Interval | None) -> bool:
        """True if a final value lies wholly beyond the trivial baseline, or the task has none."""
        baseline = self.study.tasks[task].baseline
        if final is None or baseline is None:
            return final is not None
        sign = 1.0 if self.direction(task) == "max" else -1.0
        return sign * (final.mean - baseline.value) > (final.half or 0.0)

    def grain(self, task: str) -> float:
        """Spacing of the values that the metric can have on the test split; 0 where it is no share."""
        examples = self.examples(task)
        return 1 / examples if examples else 0.0

    @cached_property
    def verdicts(self) -> dict[tuple[str, float], dict[str, Verdict]]:
        """Verdicts by (task, budget), then strategy; recorded ones only."""
        scores: dict[tuple[str, float], dict[str, Score]] = {}
        for (task, budget, strategy), tries in self.study.blocks.items():
            score = Score.of(tries, self.direction(task), self.grain(task))
            scores.setdefault((task, budget), {})[strategy] = score
        return {key: judge(group, self.direction(key[0])) for key, group in scores.items()}

    def at(self, task: str, budget: float) -> dict[str, Verdict]:
        return self.verdicts.get((task, budget), {})

    def full(self, task: str) -> dict[str, Verdict]:
        """Verdicts at the task's largest budget."""
        return self.at(task, self.study.budgets(task)[-1])

    def cut_short(self, task: str, score: Score) -> bool:
        """True where a seed of the task lacks one of the score's peak LRs: not trained yet, or failed."""
        return len(score.tries) < len(score.peak_lrs) * len(self.study.tasks[task].seeds)

    def standing(self, task: str) -> list[str]:
        """Strategies of a task, best first at its largest budget; those without a rank last."""
        full = self.full(task)

        def place(s: str) -> float:
            rank = full[s].rank if s in full else None
            return math.inf if rank is None else rank

        return sorted(self.study.of_task(task), key=place)

    def best(self, task: str) -> str | None:
        """The best-ranked strategy at the largest budget; of several that tie, the first in the order of the plan."""
        return next(iter(leaders(self.full(task))), None)

    def runner_up(self, task: str) -> str | None:
        """The next one that neither is the same run as the best nor ties with it."""
        full = self.full(task)
        rest = (s for s in self.standing(task) if s in full and full[s].word not in (*FIRST, "identical run"))
        return next((s for s in rest if full[s].behind), None)

    def reference(self, task: str) -> str | None:
        """The strategy declared before the run that the others are tested against, if the task ran it.

        It is the declared schedule with the task's first optimizer and weight decay, and without averaging.
        """
        return self._references.get(task)

    @cached_property
    def _references(self) -> dict[str, str]:
        return {t.task: t.strategy for t in self.study.tries if t.reference}

    def short_of_baseline(self, task: str) -> list[str]:
        """Strategies whose interval at the largest budget does not lie wholly beyond the trivial baseline."""
        full = self.full(task)
        finals = {s: full[s].score.final for s in self.standing(task) if s in full}
        return [s for s, i in finals.items() if i is None or i.half is None or not self._beyond(task, i)]

    @cached_property
    def comparisons(self) -> int:
        """Number of comparisons with a best-ranked strategy."""
        judged = ("within noise", "worse")
        return sum(v.word in judged for group in self.verdicts.values() for v in group.values())


def leaders(group: Mapping[str, Verdict]) -> list[str]:
    """Strategies of one task and budget that rank first: one, or all that tie. Identical runs count once."""
    return [s for s, verdict in group.items() if verdict.word in FIRST]


def _float(value: float | None) -> float:
    return math.nan if value is None else value
