"""The primary test: strategies against the reference, as the suite declared it before anything trained. No text.

A block is one task and seed; the declared budgets of a seed are pooled in it. Left out, each with its reason, are
columns (task and budget) that cannot say anything about decay. Hypotheses that could not become significant with so few
blocks do not count in the correction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple

from bench.analysis.comparison import Comparison, Reading
from bench.analysis.protocol.reference import curves, differences
from bench.analysis.stats.intervals import LEVEL, Interval, stratified, total
from bench.analysis.stats.swaps import Curves, permutation_test
from bench.analysis.stats.tests import Flip, Share, improvement, pool, step_down, testable

ALPHA = 0.05
"""Largest corrected p that is significant; `tests/analysis/simulate.py` has the share of false alarms."""

Why = Literal[
    "wind tunnel",
    "no declared budget",
    "nothing learnt",
    "reference not run",
    "one seed",
    "identical run",
    "edge of the grid",
]
"""Reason for leaving a column, or a strategy in it, out of the test."""

Word = Literal["better", "worse", "equal", "undecided", "BatchNorm statistics only", "too few blocks"]


class Omission(NamedTuple):
    """Something left out of the primary test."""

    task: str
    why: Why
    budget: float | None = None  # None: at every declared budget
    strategy: str | None = None  # None: every strategy


class Hypothesis(NamedTuple):
    """A strategy against another one over the tasks of a group."""

    strategy: str
    group: str  # "all", a family, or a task
    tasks: tuple[str, ...]
    flip: Flip  # effect above 0: better; with BatchNorm's running statistics
    p: float  # with BatchNorm, the larger one of both readings; 1 where these disagree in sign
    adjusted: float  # p after the correction for all hypotheses
    effect: Interval | None  # mean over tasks, in margins; None where a task states none
    improvement: Share  # of the blocks
    signs: tuple[int, int, int]  # numbers of tasks with a mean difference that is better, worse, exactly 0
    word: Word

    @property
    def significant(self) -> bool:
        return self.word in ("better", "worse")


class TaskBlocks(NamedTuple):
    """Blocks [N] of one strategy in one task, for each reading of BatchNorm statistics."""

    task: str
    pooled: Mapping[Reading, list[float]]  # without a unit
    margins: Mapping[Reading, list[float]] | None  # mean differences over budgets; None where the task states none
    curves: Mapping[Reading, Curves | None]  # the runs they were chosen from; None where grids differ in size

    @classmethod
    def of(
        cls,
        task: str,
        differences: Mapping[Reading, list[list[float]]],
        margin: float | None,
        curves: Mapping[Reading, Curves | None] = MappingProxyType({}),
    ) -> TaskBlocks:
        """Blocks of differences [B][N] of the same seeds at each budget."""
        pooled = {reading: pool(d_BN) for reading, d_BN in differences.items()}
        if not margin:
            return cls(task, pooled, None, curves)
        means = {
            r: [total(d_B) / len(d_B) / margin for d_B in zip(*d_BN, strict=True)] for r, d_BN in differences.items()
        }
        return cls(task, pooled, means, curves)


@dataclass(frozen=True)
class PrimaryTest:
    """The primary test of a comparison, or the same against another strategy, or at other budgets."""

    comparison: Comparison
    against: str | None = None
    budgets: tuple[float, ...] | None = None
    alpha: float = ALPHA
    level: float = LEVEL  # of the interval of the effect, which says what is equal
    interior: bool = True  # whether choices at an edge of the grid are left out

    def declared(self, task: str) -> tuple[float, ...]:
        """Budgets of a task that are tested."""
        study = self.comparison.study
        own = study.budgets(task)
        targets = self.budgets or study.plan.primary.budgets or own[-1:]
        return tuple(b for b in own if any(math.isclose(b, w) for w in targets))

    @cached_property
    def omissions(self) -> tuple[Omission, ...]:
        """All that is left out, and why."""
        return tuple(o for task in self.comparison.study.tasks for o in self._omissions(task))

    def _omissions(self, task: str) -> Iterator[Omission]:
        comparison = self.comparison
        other = self.against or comparison.reference(task)
        if comparison.study.tasks[task].family == "tunnel":
            yield Omission(task, "wind tunnel")
            return
        if not self.declared(task):
            yield Omission(task, "no declared budget")
        for budget in self.declared(task):
            group = comparison.at(task, budget)
            if other not in group:
                yield Omission(task, "reference not run", budget)
            elif len(group[other].score.selected) < 2:
                yield Omission(task, "one seed", budget)
            elif not comparison.learns(task, budget):
                yield Omission(task, "nothing learnt", budget)
            elif self.interior and group[other].score.edges:
                yield Omission(task, "edge of the grid", budget)
            else:
                for strategy, verdict in group.items():
                    if strategy == other:
                        continue
                    if other in verdict.identical:
                        yield Omission(task, "identical run", budget, strategy)
                    elif self.interior and verdict.score.edges:
                        yield Omission(task, "edge of the grid", budget, strategy)

    def columns(self, task: str, strategy: str) -> tuple[float, ...]:
        """Budgets of a task that count for a strategy."""
        out = {(o.budget, o.strategy) for o in self.omissions if o.task == task}
        if (None, None) in out:
            return ()
        if strategy == (self.against or self.comparison.reference(task)):
            return ()
        return tuple(b for b in self.declared(task) if not {(b, None), (b, strategy)} & out)

    @cached_property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """One for each strategy and group, lowest p first."""
        return weigh({key: blocks for key in self._keys() if (blocks := self._of_group(*key))}, self.alpha, self.level)

    def in_margins(self, strategy: str, group: str = "all") -> dict[str, list[float]]:
        """Differences [N] of a strategy by task, in its margins, budgets averaged; {} where one states none."""
        tasks = self._of_group(strategy, group)
        by_task = {b.task: b.margins["final"] for b in tasks if b.margins}
        return by_task if len(by_task) == len(tasks) else {}

    def _keys(self) -> Iterator[tuple[str, str]]:
        study = self.comparison.study
        over = study.plan.primary.over
        groups = {"all": ["all"], "family": [f.family for f in study.tasks.values()], "task": list(study.tasks)}
        for group in dict.fromkeys(groups[over]):
            for strategy in study.strategies:
                yield strategy, group

    def _of_group(self, strategy: str, group: str) -> list[TaskBlocks]:
        tasks = [task for task, facts in self.comparison.study.tasks.items() if group in ("all", facts.family, task)]
        return [blocks for task in tasks if (blocks := self.blocks(task, strategy))]

    def blocks(self, task: str, strategy: str) -> TaskBlocks | None:
        """Blocks of a strategy in a task, of the columns that count; None with fewer than two seeds."""
        columns = self.columns(task, strategy)
        seeds, by_reading = self._by_seed(task, strategy, columns)
        if len(seeds) < 2:
            return None
        pair = strategy, self.against or self.comparison.reference(task) or ""
        runs = {reading: curves(self.comparison, task, columns, pair, reading) for reading in by_reading}
        return TaskBlocks.of(task, by_reading, self.comparison.margin(task), runs)

    def _by_seed(
        self, task: str, strategy: str, columns: Sequence[float]
    ) -> tuple[list[int], dict[Reading, list[list[float]]]]:
        """Seeds that a strategy has at all these budgets, and for each reading its differences [B][N]."""
        leads_B: dict[Reading, list[dict[int, float]]] = {}
        for reading in ("final", "recalibrated"):
            leads_B[reading] = [differences(self.comparison, task, b, strategy, self.against, reading) for b in columns]
        seeds = sorted(set.intersection(*map(set, leads_B["final"]))) if columns else []
        return seeds, {r: [[d[s] for s in seeds] for d in by_budget] for r, by_budget in leads_B.items()}


def weigh(
    groups: Mapping[tuple[str, str], Sequence[TaskBlocks]], alpha: float = ALPHA, level: float = LEVEL
) -> tuple[Hypothesis, ...]:
    """Test each (strategy, group) over its tasks, corrected for all of them together; lowest p first."""
    flips = {key: _flip(tasks, "final") for key, tasks in groups.items()}
    both = {key: _joint(flips[key], tasks) for key, tasks in groups.items()}
    floors = [flip.floor for flip in flips.values()]
    joint = step_down(list(both.values()), floors, alpha)
    alone = step_down([flip.p for flip in flips.values()], floors, alpha)
    able = testable(floors, alpha)
    every = []
    for i, ((strategy, group), tasks) in enumerate(groups.items()):
        flip, strata = flips[strategy, group], [b.pooled["final"] for b in tasks]
        effects = _effects(tasks, level)
        word = _word(flip.effect, joint[i] <= alpha, alone[i] <= alpha, able[i], effects)
        share, names = improvement([d for d_N in strata for d in d_N]), tuple(b.task for b in tasks)
        p, effect = both[strategy, group], next(iter(effects), None)
        every.append(Hypothesis(strategy, group, names, flip, p, joint[i], effect, share, _signs(strata), word))
    return tuple(sorted(every, key=lambda h: (h.p, -h.flip.effect)))


def _effects(tasks: Sequence[TaskBlocks], level: float) -> list[Interval]:
    """Mean effect over tasks in margins, for each reading, with its interval; [] where a task states no margin."""
    margins = [b.margins for b in tasks if b.margins]
    if len(margins) < len(tasks):
        return []
    readings: tuple[Reading, ...] = ("final", "recalibrated")
    return [stratified([by_reading[r] for by_reading in margins], level) for r in readings]


def _flip(tasks: Sequence[TaskBlocks], reading: Reading) -> Flip:
    return permutation_test([b.pooled[reading] for b in tasks], [b.curves.get(reading) for b in tasks])


def _joint(flip: Flip, tasks: Sequence[TaskBlocks]) -> float:
    """P of both readings of BatchNorm together: an intersection-union test, so the larger one."""
    if all(b.pooled["recalibrated"] == b.pooled["final"] for b in tasks):
        return flip.p
    other = _flip(tasks, "recalibrated")
    return max(flip.p, other.p) if flip.effect * other.effect > 0 else 1.0


def _word(direction: float, both: bool, running: bool, able: bool, effects: Sequence[Interval]) -> Word:
    """Verdict; `effects` are those of each reading, in margins. A sure difference not worth having is equal."""
    if effects and all(abs(e.mean) + (e.half or 0.0) < 1 for e in effects):
        return "equal"
    if both:
        return "better" if direction > 0 else "worse"
    if running:
        return "BatchNorm statistics only"
    return "undecided" if able else "too few blocks"


def _signs(strata: Sequence[Sequence[float]]) -> tuple[int, int, int]:
    """Numbers of tasks with a mean difference above 0, below 0, and of 0 up to rounding."""
    sums = [total(d_N) for d_N in strata]
    better, worse = sum(m > 0 for m in sums), sum(m < 0 for m in sums)
    return better, worse, len(sums) - better - worse
