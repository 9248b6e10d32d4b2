"""A recommendation for a task or a family, and the runs that would make it surer. No text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tasks
from bench.analysis.recommend.evidence import SEEDS, Evidence
from bench.analysis.recommend.extrapolation import Extrapolation, extrapolate
from bench.analysis.recommend.pooling import best, pool
from bench.analysis.recommend.remedy import MissingRun, first_run, missing_run
from bench.analysis.recommend.verdict import MOST, FamilyVerdict, TaskVerdict


@dataclass(frozen=True)
class Recommendation:
    """All that is known of a task, or of the tasks of a family, at a budget."""

    subject: str  # a task, or a family
    over_family: bool
    epochs: float  # the budget asked for
    evidence: tuple[Evidence, ...]  # all there is, the best of each task first
    selection: tuple[Evidence, ...]  # the best of each task, in one pooled comparison
    sources: Mapping[str, tuple[Path, ...]]  # directories that a task's runs come from
    kindred: tuple[str, ...] = ()  # without evidence: tasks with results that differ in settings alone

    @classmethod
    def of(
        cls, subject: str, over_family: bool, epochs: float, evidence: Sequence[Evidence], kindred: tuple[str, ...] = ()
    ) -> Recommendation:
        if not evidence:
            return cls(subject, over_family, epochs, (), (), {}, kindred)
        pooled = pool(best(evidence), evidence)
        return cls(subject, over_family, epochs, tuple(evidence), pooled.evidence, pooled.sources)

    @cached_property
    def verdicts(self) -> tuple[TaskVerdict, ...]:
        """Verdict on each task alone."""
        return tuple(TaskVerdict(e, self.epochs) for e in self.selection)

    @cached_property
    def usable(self) -> tuple[Evidence, ...]:
        """The evidence that counts for a family: of two seeds or more, and without other doubts."""
        return tuple(e for e in self.selection if e.n > 1 and set(e.doubts(self.epochs)) <= {"few seeds"})

    @cached_property
    def family(self) -> FamilyVerdict | None:
        """Verdict over the tasks of a family; None without any that counts."""
        if not self.usable:
            return None
        return FamilyVerdict(pool([self._original(e) for e in self.usable], self.evidence).evidence)

    def _original(self, e: Evidence) -> Evidence:
        return next(o for o in self.evidence if (o.task, o.directory) == (e.task, e.directory))

    @cached_property
    def extrapolation(self) -> Extrapolation | None:
        """Predictions for a task at a budget beyond the recorded ones; None for a family, or without traces."""
        if self.over_family or not self.selection or "wind tunnel" in self.verdicts[0].doubts:
            return None
        return extrapolate(self._original(self.selection[0]), self.epochs)

    def remedies(self) -> list[MissingRun]:
        """The runs that would get missing data, the cheapest first."""
        if not self.evidence:
            return self._first_runs()
        verdict = self.family.verdict if self.over_family and self.family else None
        if verdict is not None:
            seeds = verdict.seeds or 0
            runs = [
                missing_run(e, self.epochs, max(seeds, SEEDS), verdict.best.strategy)
                for e in self.usable
                if seeds > e.n and seeds * len(self.usable) < MOST
            ]
        else:
            runs = [remedy(v) for v in self.verdicts]
        return _cheapest_first([run for run in runs if run is not None])

    def _first_runs(self) -> list[MissingRun]:
        names = [self.subject]
        if self.over_family:
            names = [n for n in tasks.CATALOGUE if tasks.parse(n).family == self.subject != "tunnel"][:1]
        return [run for name in names if (run := first_run(name, self.epochs))]


def remedy(v: TaskVerdict) -> MissingRun | None:
    """The run that would get what is missing for a verdict on one task; None where nothing is, or no run would."""
    doubts = v.doubts
    if "wind tunnel" in doubts:
        return None
    seeds = max(SEEDS, v.evidence.n)
    sides = " ".join(side for strategy in v.edges for side in v.score(strategy).edges)
    if not (doubts or sides or v.outcome == "undecided"):
        return None
    if v.outcome == "undecided" and not (doubts or sides):
        demand = v.undecided.seeds if v.undecided else None
        if demand is None or demand >= MOST:
            return None
        seeds = max(seeds, demand)
    strategy = None if "one strategy" in doubts else v.best
    return missing_run(v.evidence, v.requested, seeds, strategy, sides)


def _cheapest_first(runs: Sequence[MissingRun]) -> list[MissingRun]:
    return sorted(runs, key=lambda run: math.inf if run.seconds is None else run.seconds)
