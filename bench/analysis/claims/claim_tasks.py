"""The tasks that claims are judged on, each from one ledger of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, get_args

from bench.analysis.comparison import Comparison, Score
from bench.analysis.diagnostics import Diagnostics
from bench.analysis.results import SEPARATOR, schedule_of
from bench.contract import Family

FAMILIES = tuple(family for family in get_args(Family) if family != "tunnel")
"""Families of tasks that the claims are about. The wind tunnel's tasks train no networks."""


class ClaimTask(NamedTuple):
    """A task and the ledger it is judged from."""

    task: str
    ledger: str
    comparison: Comparison
    diagnostics: Diagnostics

    @property
    def budget(self) -> float:
        return self.comparison.study.budgets(self.task)[-1]

    @property
    def family(self) -> str:
        return self.comparison.study.tasks[self.task].family

    @property
    def constant(self) -> str:
        return self.comparison.reference(self.task) or ""

    @property
    def sign(self) -> float:
        return 1.0 if self.comparison.direction(self.task) == "max" else -1.0

    def score(self, strategy: str) -> Score:
        return self.comparison.full(self.task)[strategy].score

    def decays(self) -> dict[str, str]:
        """Strategy of each schedule that decays, with the optimizer and weight decay of the reference."""
        kind = self.constant.partition(SEPARATOR)[2]
        usual = (s for s in self.comparison.full(self.task) if s.partition(SEPARATOR)[2] == kind)
        return {schedule_of(s): s for s in usual if not is_constant(schedule_of(s))}


def is_constant(schedule: str) -> bool:
    """True for a schedule that never decays: a constant LR, with or without warmup."""
    return schedule == "constant" or schedule.startswith("warmup(constant")


def entries(ledgers: Mapping[str, Comparison]) -> list[ClaimTask]:
    """Select the ledger that each task is judged from: most seeds, then most decays, then the first.

    A task counts once, so that no seed is two blocks. Tasks with a single seed of the reference, ledgers with another
    reference than constant LR, and the wind tunnel are left out.
    """
    best: dict[str, tuple[tuple[int, int], ClaimTask]] = {}
    for name, comparison in ledgers.items():
        if not is_constant(comparison.study.reference):
            continue
        for task in comparison.study.tasks:
            entry = ClaimTask(task, name, comparison, Diagnostics(comparison))
            constant = comparison.full(task).get(entry.constant)
            size = (len(constant.score.selected), len(entry.decays())) if constant else (0, 0)
            if size[0] > 1 and entry.family in FAMILIES and (task not in best or size > best[task][0]):
                best[task] = size, entry
    return sorted((entry for _, entry in best.values()), key=lambda e: (FAMILIES.index(e.family), e.task))
