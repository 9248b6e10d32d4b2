"""What changed between two ledgers, by cell and by strategy, and how sure that is. N = seeds. No text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from bench.analysis.comparison import Comparison
from bench.analysis.reference import leads
from bench.analysis.results import KINDS, StrategySettings, Study
from bench.analysis.stats.intervals import Interval
from bench.analysis.stats.tests import Flip, holm, sign_flip
from bench.contract import InputError
from bench.ledger import ledger, lines
from bench.ledger.cell_row import CellRow, CellSettings, Done
from bench.ledger.rows import of_kind

Key = tuple[Any, ...]
"""What makes two cells of different ledgers the same one, whatever data and code they ran on."""


def _key(cell: CellSettings) -> Key:
    setting = cell.task, cell.schedule, cell.optimizer, cell.weight_decay, cell.averaging
    return *setting, cell.peak_lr, cell.budget, cell.total, cell.seed


class Side(NamedTuple):
    """One of the two ledgers."""

    directory: Path
    cells: Mapping[Key, CellRow]
    comparison: Comparison

    @property
    def versions(self) -> dict[str, str]:
        """What its last attempt ran with."""
        if not self.comparison.study.attempts:
            return {}
        last = self.comparison.study.attempts[-1]
        facts = {"commit": last.commit, "device": last.device, "processor": last.processor}
        return {name: str(value) for name, value in (facts | (last.versions or {})).items() if value}


def read(first: Path, second: Path, notes: list[str]) -> Changes:
    """Read two ledgers; their strategies are named alike, whatever else each was run with.

    Raises:
        InputError: one of them is not there, not readable, or without a finished cell.
    """
    rows = {at: ledger.read(at, notes, KINDS) for at in (first, second)}
    cells = {at: list(of_kind(each, CellRow).values()) for at, each in rows.items()}
    for at, each in cells.items():
        if not each:
            raise InputError(f"{at} holds no finished cell yet: nothing to compare")
    both = [StrategySettings.of(cell.settings) for cell in (*cells[first], *cells[second])]
    made = (
        Side(at, {_key(cell.settings): cell for cell in cells[at]}, Comparison(Study.of(rows[at], both)))
        for at in (first, second)
    )
    return Changes(*made)


class Change(NamedTuple):
    """A strategy at one budget of one task, in both ledgers; each at the peak LRs chosen in it."""

    task: str
    budget: float
    strategy: str
    before: Interval | None
    after: Interval | None
    better: Interval | None  # how much better the second is, paired by seed; None where a run diverged
    lead: tuple[float, ...]  # the same for each seed [N]; infinite where one of the two diverged

    @property
    def word(self) -> str:
        """What is said of it."""
        if not any(self.lead):
            return "same values"
        if self.better is None:
            return "diverged more" if sum(x < 0 for x in self.lead if math.isinf(x)) else "diverged less"
        if self.better.half is None:
            return "not judged"
        if not self.better.excludes_zero:
            return "within noise"
        return "clearly better" if self.better.mean > 0 else "clearly worse"


class ChangeTest(NamedTuple):
    """A strategy over all tasks, at the largest budget that both ledgers have of each."""

    strategy: str
    flip: Flip
    adjusted: float  # after Holm's correction for the strategies tested


@dataclass(frozen=True)
class Changes:
    """What changed from the first to the second."""

    first: Side
    second: Side

    @cached_property
    def common(self) -> list[Key]:
        """Settings of the cells that both have."""
        return [key for key in self.first.cells if key in self.second.cells]

    @cached_property
    def differing(self) -> list[Key]:
        """Of these, those whose results are not the same bits."""
        return [k for k in self.common if _end(self.first.cells[k]) != _end(self.second.cells[k])]

    @cached_property
    def changes(self) -> list[Change]:
        """Every (task, budget, strategy) that both have and judge alike."""
        found = []
        for (task, budget), group in self.first.comparison.verdicts.items():
            other = self.second.comparison.at(task, budget)
            if task in self.unlike or not other:
                continue
            direction, sign = (
                self.first.comparison.direction(task),
                1.0 if self.first.comparison.direction(task) == "max" else -1.0,
            )
            for s in (s for s in group if s in other):
                before, after = group[s].score, other[s].score
                if lead_N := leads(after, before, sign):
                    better = before.behind(after, direction)
                    found.append(Change(task, budget, s, before.final, after.final, better, tuple(lead_N)))
        return found

    @cached_property
    def unlike(self) -> tuple[str, ...]:
        """Tasks of both that are judged by different metrics."""
        mine, theirs = self.first.comparison.study.tasks, self.second.comparison.study.tasks
        both = (t for t in mine if t in theirs)
        return tuple(t for t in both if (mine[t].metric, mine[t].direction) != (theirs[t].metric, theirs[t].direction))

    @cached_property
    def tests(self) -> list[ChangeTest]:
        """Sign flips over tasks and seeds of every strategy that changed, the lowest p first."""
        largest: dict[str, float] = {}
        for it in self.changes:
            largest[it.task] = max(it.budget, largest.get(it.task, 0.0))
        full = [it for it in self.changes if it.budget == largest[it.task]]
        strata = {
            s: [_finite(c, full) for c in full if c.strategy == s] for s in dict.fromkeys(c.strategy for c in full)
        }
        strata = {s: [d_N for d_N in found if len(d_N) > 1] for s, found in strata.items()}
        flips = {s: sign_flip(found) for s, found in strata.items() if any(any(d_N) for d_N in found)}
        adjusted = holm([flip.p for flip in flips.values()])
        made = [ChangeTest(s, flip, p) for (s, flip), p in zip(flips.items(), adjusted, strict=True)]
        return sorted(made, key=lambda test: test.flip.p)


def _end(cell: CellRow) -> str:
    """What became of a cell. Cohort, segment and fork say who shared its training, which is no result."""
    result = cell.result
    if not isinstance(result, Done):
        result = replace(result, parent=None, start=None)
    return lines.text({"status": cell.status} | result.payload())


def _finite(it: Change, beside: Sequence[Change]) -> list[float]:
    """Differences by seed; where one run diverged, the largest one of the task."""
    seen = [abs(d) for c in beside if c.task == it.task for d in c.lead if math.isfinite(d)]
    most = max(seen, default=0.0) or 1.0
    return [math.copysign(most, d) if math.isinf(d) else d for d in it.lead]
