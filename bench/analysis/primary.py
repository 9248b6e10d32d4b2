"""The primary test: strategies against the reference, as the suite declared it before anything trained. No text.

A block is one task and seed; the declared budgets of a seed are pooled in it. Left out, each with its reason, are
columns (task and budget) that cannot say anything about decay. Hypotheses that could not become significant with so few
blocks do not count in the correction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from bench.analysis.comparison import Comparison, Reading
from bench.analysis.reference import curves, differences
from bench.analysis.stats.intervals import LEVEL, Interval, stratified
from bench.analysis.stats.swaps import Curves, swap_test
from bench.analysis.stats.tests import Flip, Share, improvement, pool, sign_flip, step_down, testable

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


class _Strata(NamedTuple):
    """Blocks of one strategy by task, for each reading, and in margins."""

    blocks: dict[Reading, list[list[float]]]
    margins: dict[Reading, list[list[float]]] | None  # mean differences over budgets; None where a task states none
    tasks: tuple[str, ...]
    curves: dict[Reading, list[Curves | None]]  # all runs that the blocks were chosen from

    def flip(self, reading: Reading) -> Flip:
        """Test by swaps of the runs; by signs of the blocks where grids differ in size."""
        every = [c for c in self.curves[reading] if c is not None]
        return swap_test(every) if len(every) == len(self.tasks) else sign_flip(self.blocks[reading])


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
        wanted = self.budgets or study.plan.primary.budgets or own[-1:]
        return tuple(b for b in own if any(math.isclose(b, w) for w in wanted))

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
        strata = {key: blocks for key in self._keys() if (blocks := self._strata(*key)).tasks}
        flips = {key: s.flip("final") for key, s in strata.items()}
        both = {key: _joint(flips[key], s) for key, s in strata.items()}
        floors = [flip.floor for flip in flips.values()]
        joint = step_down(list(both.values()), floors, self.alpha)
        running = step_down([flip.p for flip in flips.values()], floors, self.alpha)
        able = testable(floors, self.alpha)
        every = []
        for i, ((strategy, group), s) in enumerate(strata.items()):
            flip = flips[strategy, group]
            effects = [stratified(blocks, self.level) for blocks in s.margins.values()] if s.margins else []
            word = _word(flip.effect, joint[i] <= self.alpha, running[i] <= self.alpha, able[i], effects)
            share = improvement([d for d_N in s.blocks["final"] for d in d_N])
            signs = _signs(s.blocks["final"])
            p, effect = both[strategy, group], next(iter(effects), None)
            every.append(Hypothesis(strategy, group, s.tasks, flip, p, joint[i], effect, share, signs, word))
        return tuple(sorted(every, key=lambda h: (h.p, -h.flip.effect)))

    def _keys(self) -> Iterator[tuple[str, str]]:
        study = self.comparison.study
        over = study.plan.primary.over
        groups = {"all": ["all"], "family": [f.family for f in study.tasks.values()], "task": list(study.tasks)}
        for group in dict.fromkeys(groups[over]):
            for strategy in study.strategies:
                yield strategy, group

    def _strata(self, strategy: str, group: str) -> _Strata:
        blocks: dict[Reading, list[list[float]]] = {"final": [], "recalibrated": []}
        margins: dict[Reading, list[list[float]]] = {"final": [], "recalibrated": []}
        runs: dict[Reading, list[Curves | None]] = {"final": [], "recalibrated": []}
        tasks = []
        for task, facts in self.comparison.study.tasks.items():
            if group not in ("all", facts.family, task):
                continue
            columns = self.columns(task, strategy)
            seeds, by_reading = self._by_seed(task, strategy, columns)
            if len(seeds) < 2:
                continue
            tasks.append(task)
            margin = self.comparison.margin(task) or math.nan
            for reading, differences_BN in by_reading.items():
                blocks[reading].append(pool(differences_BN))
                pair = strategy, self.against or self.comparison.reference(task) or ""
                runs[reading].append(curves(self.comparison, task, columns, pair, reading))
                means_N = [math.fsum(d_B) / len(d_B) / margin for d_B in zip(*differences_BN, strict=True)]
                margins[reading].append(means_N)
        stated = all(self.comparison.margin(task) for task in tasks)
        return _Strata(blocks, margins if stated else None, tuple(tasks), runs)

    def _by_seed(
        self, task: str, strategy: str, columns: Sequence[float]
    ) -> tuple[list[int], dict[Reading, list[list[float]]]]:
        """Seeds that a strategy has at all these budgets, and for each reading its differences [B][N]."""
        found: dict[Reading, list[dict[int, float]]] = {}
        for reading in ("final", "recalibrated"):
            found[reading] = [differences(self.comparison, task, b, strategy, self.against, reading) for b in columns]
        seeds = sorted(set.intersection(*map(set, found["final"]))) if columns else []
        return seeds, {r: [[d[s] for s in seeds] for d in by_budget] for r, by_budget in found.items()}


def _joint(flip: Flip, strata: _Strata) -> float:
    """P of both readings of BatchNorm together: an intersection-union test, so the larger one."""
    if strata.blocks["recalibrated"] == strata.blocks["final"]:
        return flip.p
    other = strata.flip("recalibrated")
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
    sums = [(math.fsum(d_N), 1e-9 * math.fsum(map(abs, d_N))) for d_N in strata]  # +0.01 - 0.01 may leave a last bit
    better, worse = sum(m > least for m, least in sums), sum(m < -least for m, least in sums)
    return better, worse, len(sums) - better - worse
