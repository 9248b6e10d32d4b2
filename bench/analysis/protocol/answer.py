"""The answer of a comparison: which decay to take, by how much it is better, how sure, and what could not be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from bench.analysis.comparison import Comparison, leaders
from bench.analysis.protocol.effect_sizes import EffectSizes, effect_sizes
from bench.analysis.protocol.primary import Hypothesis, PrimaryTest
from bench.analysis.protocol.reference import VersusReference, joint_standings, standings
from bench.analysis.protocol.sequential import verdicts
from bench.analysis.stats.intervals import Interval, interval
from bench.analysis.stats.power import detectable_mean

Outcome = Literal["take", "keep", "equal", "undecided", "untested"]
"""Take a decay, keep the reference, either (equal), not known yet, or nothing could be tested."""


class Advice(NamedTuple):
    """The strategy to take in one task at one budget, and how sure that is."""

    task: str
    budget: float
    strategy: str  # the best-ranked one
    peak_lr: float | None
    tied: tuple[str, ...]  # the others that are not told apart from it
    standing: VersusReference | None  # at a level for the best of all tried; None if it is the reference
    learnt: bool  # some strategy got beyond the trivial baseline


class ForestLine(NamedTuple):
    """A strategy's lead over the reference in one task, in margins of the task, its declared budgets pooled."""

    task: str
    lead: Interval
    standing: tuple[VersusReference, ...]  # at each budget


@dataclass(frozen=True)
class Answer:
    """All that the first screen of a report shows."""

    comparison: Comparison
    group: str | None = None  # of the hypotheses: a family or a task, where the suite declared these

    @cached_property
    def groups(self) -> tuple[Answer, ...]:
        """The answer in each family or task alone; none where all tasks are pooled."""
        names = dict.fromkeys(h.group for h in sorted(self.pooled, key=lambda h: h.tasks))
        return () if set(names) <= {"all", self.group} else tuple(Answer(self.comparison, name) for name in names)

    @cached_property
    def test(self) -> PrimaryTest:
        return PrimaryTest(self.comparison)

    @cached_property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """The primary test, lowest p first."""
        return tuple(h for h in verdicts(self.comparison) if self.group in (None, h.group))

    @cached_property
    def pooled(self) -> tuple[Hypothesis, ...]:
        """The primary test, best effect first."""
        return tuple(sorted(self.hypotheses, key=lambda h: -(h.effect.mean if h.effect else h.flip.effect)))

    @cached_property
    def effect_sizes(self) -> list[EffectSizes]:
        """Effect sizes over the tasks of the test, best mean first; none where a task states no margin."""
        return effect_sizes(self.test)

    @cached_property
    def budgets(self) -> tuple[float, ...]:
        """All budgets that some task ran, ascending."""
        study = self.comparison.study
        return tuple(sorted({b for task in study.tasks for b in study.budgets(task)}))

    @cached_property
    def declared(self) -> tuple[float, ...]:
        """The budgets that are tested in some task."""
        tasks = self.comparison.study.tasks
        return tuple(sorted({b for task in tasks for b in self.test.declared(task)}))

    @cached_property
    def by_budget(self) -> dict[float, dict[tuple[str, str], Hypothesis]]:
        """The same test at each budget alone, by strategy and group: secondary, corrected for its hypotheses only."""
        every = {b: PrimaryTest(self.comparison, budgets=(b,)).hypotheses for b in self.budgets}
        return {b: {(h.strategy, h.group): h for h in hypotheses} for b, hypotheses in every.items()}

    @cached_property
    def outcome(self) -> Outcome:
        words = [h.word for h in self.pooled]
        if not words:
            return "untested"
        if "better" in words:
            return "take"
        if all(word == "equal" for word in words):
            return "equal"
        return "keep" if all(word in ("worse", "equal") for word in words) else "undecided"

    @cached_property
    def best(self) -> Hypothesis | None:
        """The strategy to take of those significantly better, or of all: over most tasks, then with the largest effect.

        Effects over other tasks cannot be compared.
        """
        better = [h for h in self.pooled if h.word == "better"]
        return max(better or self.pooled, key=lambda h: len(h.tasks), default=None)

    @cached_property
    def tied(self) -> tuple[str, ...]:
        """Strategies that are significantly better, too, and are not told apart from the best one."""
        if self.outcome != "take" or self.best is None:
            return ()
        beside = PrimaryTest(self.comparison, against=self.best.strategy).hypotheses
        apart = {h.strategy for h in beside if h.word == "worse" and h.group == self.best.group}
        return tuple(
            h.strategy
            for h in self.pooled
            if h.word == "better" and h != self.best and h.group == self.best.group and h.strategy not in apart
        )

    @cached_property
    def invisible(self) -> float | None:
        """Effect in margins that the test would find with 80 % power, by the interval of the best strategy.

        It is one of so many: at the first step of Holm's correction.
        """
        if self.best is None or self.best.effect is None or self.best.effect.half is None:
            return None
        return detectable_mean(self.best.effect.half, self.test.alpha / len(self.pooled))

    @cached_property
    def seeds(self) -> tuple[int, int]:
        """Fewest and most seeds of a task that the best strategy is tested on; zeros where nothing is."""
        if self.best is None:
            return 0, 0
        study = self.comparison.study
        counts = [len(study.tasks[task].seeds) for task in self.best.tasks]
        return min(counts), max(counts)

    @cached_property
    def seeds_to_decide(self) -> int | None:
        """Seeds a task with which the best strategy's effect would be decided; None where no margin is stated.

        They shrink the interval until the test finds the effect, or shows it to lie within one margin; and they give
        enough blocks for the first step of the correction.
        """
        if self.best is None or self.best.effect is None or self.invisible is None:
            return None
        n, size = self.seeds[1], abs(self.best.effect.mean)
        least = 1 + math.log2(len(self.pooled) / self.test.alpha)  # blocks
        more = n * (self.invisible / max(size, 1 - size)) ** 2
        return max(n + 1, math.ceil(more), math.ceil(least / len(self.best.tasks)))

    @cached_property
    def at(self) -> tuple[float, ...]:
        """Budgets at which the best strategy is tested in some task."""
        if self.best is None:
            return self.declared
        columns = (self.test.columns(task, self.best.strategy) for task in self.best.tasks)
        return tuple(sorted({b for column in columns for b in column}))

    @cached_property
    def forest(self) -> tuple[ForestLine, ...]:
        """The best strategy's lead in each task; tasks without a margin or a second seed are left out."""
        if self.best is None:
            return ()
        return tuple(line for task in self.best.tasks if (line := self._forest_line(task, self.best.strategy)))

    def _forest_line(self, task: str, strategy: str) -> ForestLine | None:
        blocks = self.test.blocks(task, strategy)
        if blocks is None or blocks.margins is None:
            return None
        own = (standings(self.comparison, task, b).get(strategy) for b in self.test.columns(task, strategy))
        return ForestLine(task, interval(blocks.margins["final"]), tuple(s for s in own if s is not None))

    @cached_property
    def advice(self) -> tuple[Advice, ...]:
        """The advice for each task and budget that has a result."""
        study = self.comparison.study
        return tuple(a for task in study.tasks for b in study.budgets(task) if (a := self._advice(task, b)))

    def _advice(self, task: str, budget: float) -> Advice | None:
        group = self.comparison.at(task, budget)
        first = leaders(group)
        if not first:
            return None
        strategy = first[0]
        near = [
            s for s, v in group.items() if s != strategy and v.word in ("tied best", "within noise", "identical run")
        ]
        beside = joint_standings(self.comparison, task, budget)
        learnt = self.comparison.learns(task, budget)
        return Advice(task, budget, strategy, group[strategy].score.pick, tuple(near), beside.get(strategy), learnt)


def of_families(answer: Answer, tasks: Sequence[str]) -> list[str]:
    """Families of some tasks, in the order of the plan."""
    return list(dict.fromkeys(answer.comparison.study.tasks[task].family for task in tasks))
