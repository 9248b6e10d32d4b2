"""Verdicts that a recommendation rests on: of one task, and of a family over its tasks. No text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from bench.analysis.comparison import Comparison, Score, leaders
from bench.analysis.protocol.primary import ALPHA, Hypothesis, PrimaryTest, Why
from bench.analysis.protocol.reference import VersusReference, standings, widened
from bench.analysis.recommend.evidence import Doubt, Evidence
from bench.analysis.results import Study
from bench.analysis.stats.equivalence import decide, seeds_to_decide
from bench.analysis.stats.intervals import Interval, t_quantile

Outcome = Literal[
    "take", "keep", "equal", "undecided", "BatchNorm statistics only", "edge of the grid", "nothing learnt"
]
"""Take a strategy, keep the reference, any will do, or a reason for neither."""

MOST = 1_000
"""From so many seeds on, it is said that no number of seeds decides."""


@dataclass(frozen=True)
class TaskVerdict:
    """The best strategy of one task at one budget beside the reference, at a level for the best of all tried."""

    evidence: Evidence  # in a pooled comparison
    requested: float  # epochs

    @property
    def doubts(self) -> list[Doubt]:
        return self.evidence.doubts(self.requested)

    @cached_property
    def standings(self) -> dict[str, VersusReference]:
        e = self.evidence
        return standings(e.comparison, e.task, e.budget, tries=self.tries)

    @cached_property
    def tries(self) -> int:
        """Number of strategies beside the reference."""
        e = self.evidence
        return max(1, len(e.comparison.at(e.task, e.budget)) - 1)

    @cached_property
    def best(self) -> str | None:
        """The best-ranked strategy: the reference if it is among those of equal rank; None if all diverged."""
        first = leaders(self.evidence.comparison.at(self.evidence.task, self.evidence.budget))
        return self.reference if self.reference in first else next(iter(first), None)

    @property
    def reference(self) -> str | None:
        return self.evidence.comparison.reference(self.evidence.task)

    @cached_property
    def rival(self) -> VersusReference | None:
        """The best strategy beside the reference or, where the reference is best, the one that comes next.

        Runs identical to the reference are passed over.
        """
        ranked = [s for s, _ in self.evidence.ranked if s != self.reference]
        others = [self.standings[s] for s in ranked if s in self.standings]
        return next((s for s in others if s.word != "identical run"), None)

    @cached_property
    def same(self) -> list[str]:
        """Strategies that are not told apart from the best one, at the same level and by the same margin."""
        e, first = self.evidence, self.best
        if first is None or e.n < 2:
            return []
        others = {s: v for s, v in e.ranked if s != first and not v.score.diverged}
        behind = {s: v.score.behind(self.score(first), e.comparison.direction(e.task)) for s, v in others.items()}
        return [s for s, lead in behind.items() if not self._excludes(widened(lead, self.tries))]

    def _excludes(self, behind: Interval | None) -> bool:
        """True if a strategy is behind for sure, and not by less than the margin."""
        if behind is None or behind.low is None or behind.high is None:
            return False
        return decide(behind.low, behind.high, self.evidence.comparison.margin(self.evidence.task)) == "better"

    @cached_property
    def undecided(self) -> VersusReference | None:
        """The best-ranked strategy that is undecided beside the reference."""
        ranked = (self.standings[s] for s, _ in self.evidence.ranked if s in self.standings)
        return next((s for s in ranked if s.word == "undecided"), None)

    @cached_property
    def diverged(self) -> list[str]:
        return [s for s, v in self.evidence.ranked if v.score.diverged]

    def score(self, strategy: str) -> Score:
        e = self.evidence
        return e.comparison.at(e.task, e.budget)[strategy].score

    @cached_property
    def outcome(self) -> Outcome:
        e, words = self.evidence, {s.word for s in self.standings.values()}
        if self.best is None or not e.comparison.learns(e.task, e.budget):
            return "nothing learnt"
        if self.best == self.reference:
            if words <= {"equal", "identical run"}:
                return "equal"
            if words <= {"worse", "equal", "identical run"}:
                return "keep"
            return "edge of the grid" if self.score(self.best).edges else "undecided"
        word = self.rival.word if self.rival else "not judged"
        if word == "better":
            return "take"
        known: dict[str, Outcome] = {
            "equal": "equal",
            "edge of the grid": "edge of the grid",
            "BatchNorm statistics only": "BatchNorm statistics only",
        }
        return known.get(word, "undecided")

    @cached_property
    def equal(self) -> list[str]:
        """The reference and the strategies that are equal to it."""
        alike = [s for s, standing in self.standings.items() if standing.word in ("equal", "identical run")]
        return [*([self.reference] if self.reference else []), *alike]

    @cached_property
    def edges(self) -> list[str]:
        """Of the best strategy and the reference, those whose peak LR is chosen at an end of its grid."""
        return [s for s in dict.fromkeys((self.best, self.reference)) if s is not None and self.score(s).edges]


class FamilyBest(NamedTuple):
    """The best strategy of a family, and what it rests on."""

    outcome: Outcome
    best: Hypothesis
    effect: Interval | None  # in margins, of the tasks that state one, at a level for the best of all tried
    same: list[str]  # not told apart from it
    seeds: int | None  # of each task that would decide, where it is undecided


@dataclass(frozen=True)
class FamilyVerdict:
    """The primary test over the tasks of a family: each task a stratum, its seeds the blocks."""

    evidence: tuple[Evidence, ...]  # in one pooled comparison

    @property
    def comparison(self) -> Comparison:
        return self.evidence[0].comparison

    @cached_property
    def test(self) -> PrimaryTest:
        return PrimaryTest(self.comparison)

    @cached_property
    def in_margins(self) -> dict[str, Hypothesis]:
        """The same test on the tasks that state a margin, by strategy."""
        study = self.comparison.study
        tasks = {name: facts for name, facts in study.tasks.items() if facts.margin is not None}
        part = Study(replace(study.plan, tasks=tasks), tuple(t for t in study.tries if t.task in tasks), (), ())
        return {h.strategy: h for h in PrimaryTest(Comparison(part)).hypotheses}

    @cached_property
    def hypotheses(self) -> list[Hypothesis]:
        """Significantly better ones first, then those over most tasks, then the largest effect."""
        return sorted(self.test.hypotheses, key=lambda h: (h.word != "better", -len(h.tasks), -_effect(h)))

    @cached_property
    def verdict(self) -> FamilyBest | None:
        """None where nothing can be tested."""
        if not self.hypotheses:
            return None
        best = self.hypotheses[0]
        in_margins = self.in_margins.get(best.strategy)
        effect = widened(in_margins.effect, len(self.hypotheses)) if in_margins else None
        beside = PrimaryTest(self.comparison, against=best.strategy).hypotheses
        outcome = _outcome(self.hypotheses)
        known = self.comparison.study.reference if outcome == "take" else ""
        same = [h.strategy for h in beside if h.word != "worse" and h.strategy != known]
        seeds = self._seeds(best) if outcome == "undecided" else None
        return FamilyBest(outcome, best, effect, same, seeds)

    def _seeds(self, best: Hypothesis) -> int:
        """Number of seeds of each task that would decide: more than there are, and enough for so low a p."""
        floor = 1 + math.log2(len(self.hypotheses) / ALPHA)
        blocks = max(floor, _blocks(best), best.flip.blocks + len(best.tasks))
        return math.ceil(blocks / len(best.tasks))

    def why(self, task: str) -> Why | None:
        """Reason for leaving a task out of the test of the best strategy."""
        best = self.hypotheses[0].strategy if self.hypotheses else None
        return next((o.why for o in self.test.omissions if o.task == task and o.strategy in (None, best)), None)


def _effect(h: Hypothesis) -> float:
    return h.flip.effect if h.effect is None else h.effect.mean


def _outcome(hypotheses: Sequence[Hypothesis]) -> Outcome:
    words = {h.word for h in hypotheses}
    if "better" in words:
        return "take"
    if words == {"equal"}:
        return "equal"
    if words <= {"worse", "equal"}:
        return "keep"
    return "BatchNorm statistics only" if hypotheses[0].word == "BatchNorm statistics only" else "undecided"


def _blocks(h: Hypothesis) -> int:
    """Number of blocks that would decide, if differences stay as they are.

    In margins where all tasks state one; else standardised, so that the root mean square of each task is 1.
    """
    mean, deviation, margin = h.flip.effect, math.sqrt(max(1 - h.flip.effect**2, 1e-9)), None
    if h.effect is not None and h.effect.half is not None:
        mean, margin = h.effect.mean, 1.0
        deviation = h.effect.half * math.sqrt(h.effect.n) / t_quantile(h.effect.n)
    return seeds_to_decide(mean, deviation, margin)
