"""The tasks that claims are judged on, each from one ledger of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, get_args

from bench.analysis.comparison import Comparison, Score, Verdict
from bench.analysis.diagnostics import Diagnostics
from bench.analysis.protocol.primary import PrimaryTest
from bench.analysis.results import SEPARATOR
from bench.contract import Family

FAMILIES = tuple(family for family in get_args(Family) if family not in ("language", "table", "tunnel"))
"""Families of tasks that the claims are about: epochs of classifiers and detectors. The wind tunnel's tasks train no
networks, language models are trained in one pass, and tables are the user's.
"""


class ClaimTask(NamedTuple):
    """A task and the ledger it is judged from, with that ledger's primary test."""

    task: str
    ledger: str
    test: PrimaryTest

    @property
    def comparison(self) -> Comparison:
        return self.test.comparison

    @property
    def diagnostics(self) -> Diagnostics:
        return Diagnostics(self.comparison)

    @property
    def budget(self) -> float:
        """Largest declared budget, at which is judged whatever does not pool budgets."""
        return max(self.test.declared(self.task))

    @property
    def family(self) -> str:
        return self.comparison.study.tasks[self.task].family

    @property
    def constant(self) -> str:
        return self.comparison.reference(self.task) or ""

    @property
    def sign(self) -> float:
        return 1.0 if self.comparison.direction(self.task) == "max" else -1.0

    @property
    def learns(self) -> bool:
        return self.comparison.learns(self.task, self.budget)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        return self.comparison.at(self.task, self.budget)

    def score(self, strategy: str) -> Score:
        return self.verdicts[strategy].score

    def decays(self) -> list[str]:
        """Schedules that decay, under the task's usual optimizer and weight decay, as the reference is."""
        return [s for s in self.verdicts if SEPARATOR not in s and not is_constant(s)]

    def counts(self, strategy: str) -> bool:
        """True if the primary test leaves nothing of a strategy out at this budget."""
        return self.budget in self.test.columns(self.task, strategy)


def is_constant(schedule: str) -> bool:
    """True for a schedule that never decays: a constant LR, with or without warmup."""
    return schedule == "constant" or schedule.startswith("warmup(constant")


def entries(ledgers: Mapping[str, Comparison]) -> list[ClaimTask]:
    """Select the ledger that each task is judged from: most seeds, then most decays, then the first.

    A task counts once, so that no seed is two blocks. Tasks with a single seed of the reference, or with no declared
    budget, ledgers with another reference than constant LR, and the wind tunnel are left out.
    """
    best: dict[str, tuple[tuple[int, int], ClaimTask]] = {}
    for name, comparison in ledgers.items():
        if not is_constant(comparison.study.reference):
            continue
        test = PrimaryTest(comparison)
        for task in comparison.study.tasks:
            entry = ClaimTask(task, name, test)
            if entry.family not in FAMILIES or not test.declared(task):
                continue
            constant = entry.verdicts.get(entry.constant)
            size = (len(constant.score.selected), len(entry.decays())) if constant else (0, 0)
            if size[0] > 1 and (task not in best or size > best[task][0]):
                best[task] = size, entry
    return sorted((entry for _, entry in best.values()), key=lambda e: (FAMILIES.index(e.family), e.task))
