"""Changes between two ledgers, by cell and by strategy, with their significance. N = seeds. No text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from bench.analysis.comparison import Comparison
from bench.analysis.protocol.reference import curves_of, leads
from bench.analysis.results import KINDS, Study
from bench.analysis.stats.intervals import Interval
from bench.analysis.stats.swaps import Curves, permutation_test
from bench.analysis.stats.tests import Flip, holm
from bench.contract import InputError
from bench.ledger import ledger, lines
from bench.ledger.cell_row import CellRow, CellSettings, Done
from bench.ledger.rows import of_kind

Key = tuple[Any, ...]
"""Identity of a cell across ledgers: its settings, without the data and code it ran on."""


def _key(cell: CellSettings) -> Key:
    setting = cell.task, cell.schedule, cell.optimizer, cell.weight_decay, cell.averaging
    return *setting, cell.peak_lr, cell.budget, cell.total, cell.seed


class Side(NamedTuple):
    """One of the two ledgers compared."""

    directory: Path
    cells: Mapping[Key, CellRow]
    comparison: Comparison

    @property
    def versions(self) -> dict[str, str]:
        """Commit, hardware and package versions of the last attempt."""
        if not self.comparison.study.attempts:
            return {}
        last = self.comparison.study.attempts[-1]
        facts = {"commit": last.commit, "device": last.device, "processor": last.processor}
        return {name: str(value) for name, value in (facts | (last.versions or {})).items() if value}


def read(first: Path, second: Path, notes: list[str]) -> Changes:
    """Read two ledgers. Strategies get the same names in both, so that they can be matched.

    Raises:
        InputError: a ledger is missing, unreadable, or without a finished cell.
    """
    rows = {directory: ledger.read(directory, notes, KINDS) for directory in (first, second)}
    cells = {directory: list(of_kind(rows[directory], CellRow).values()) for directory in (first, second)}
    for directory, recorded in cells.items():
        if not recorded:
            raise InputError(f"{directory} holds no finished cell yet: nothing to compare")
    before = Study.of(rows[first])
    studies = {first: before, second: Study.of(rows[second], before.tasks)}

    def side(directory: Path) -> Side:
        by_key = {_key(cell.settings): cell for cell in cells[directory]}
        return Side(directory, by_key, Comparison(studies[directory]))

    return Changes(side(first), side(second))


class Change(NamedTuple):
    """A strategy at one budget of one task in both ledgers, in each at the peak LRs chosen there."""

    task: str
    budget: float
    strategy: str
    before: Interval | None
    after: Interval | None
    better: Interval | None  # how much better the second is, paired by seed; None where a run diverged
    lead: tuple[float, ...]  # the same for each seed [N]; infinite where one of the two diverged

    @property
    def word(self) -> str:
        """Verdict on the change."""
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
    """Test of a strategy over all tasks, each at the largest budget that both ledgers have."""

    strategy: str
    flip: Flip
    adjusted: float  # after Holm's correction for the strategies tested


@dataclass(frozen=True)
class Changes:
    """Changes from the first ledger to the second."""

    first: Side
    second: Side

    @cached_property
    def common(self) -> list[Key]:
        """Keys of the cells that both ledgers have."""
        return [key for key in self.first.cells if key in self.second.cells]

    @cached_property
    def differing(self) -> list[Key]:
        """Keys of the common cells whose results are not bitwise equal."""
        return [k for k in self.common if _end(self.first.cells[k]) != _end(self.second.cells[k])]

    @cached_property
    def changes(self) -> list[Change]:
        """Changes of each (task, budget, strategy) that both ledgers have and judge by the same metric."""
        changes = []
        for (task, budget), group in self.first.comparison.verdicts.items():
            other = self.second.comparison.at(task, budget)
            if task in self.unlike or not other:
                continue
            direction = self.first.comparison.direction(task)
            sign = 1.0 if direction == "max" else -1.0
            for s in (s for s in group if s in other):
                before, after = group[s].score, other[s].score
                if lead_N := leads(after, before, sign).values():
                    better = before.behind(after, direction)
                    changes.append(Change(task, budget, s, before.final, after.final, better, tuple(lead_N)))
        return changes

    @cached_property
    def unlike(self) -> tuple[str, ...]:
        """Common tasks that the two ledgers judge by different metrics."""
        first, second = self.first.comparison.study.tasks, self.second.comparison.study.tasks

        def differs(task: str) -> bool:
            before, after = first[task], second[task]
            return (before.metric, before.direction) != (after.metric, after.direction)

        return tuple(task for task in first if task in second and differs(task))

    @cached_property
    def tests(self) -> list[ChangeTest]:
        """Permutation tests over tasks and seeds of each strategy that changed, lowest p first.

        A permutation swaps all runs of a seed between the ledgers, and peak LRs are chosen again; where the ledgers
        have other seeds or grids, it turns the sign of the difference.
        """
        largest: dict[str, float] = {}
        for change in self.changes:
            largest[change.task] = max(change.budget, largest.get(change.task, 0.0))
        full = [change for change in self.changes if change.budget == largest[change.task]]
        strata: dict[str, list[tuple[list[float], Curves | None]]] = {}
        for change in full:
            blocks, stand_in = strata.setdefault(change.strategy, []), _largest(change, full)
            d_N = [math.copysign(stand_in, d) if math.isinf(d) else d for d in change.lead]
            if len(d_N) > 1:
                blocks.append((d_N, self._runs(change, stand_in)))
        moved = {s: tuple(zip(*blocks, strict=True)) for s, blocks in strata.items() if any(any(d) for d, _ in blocks)}
        flips = {s: permutation_test(*columns) for s, columns in moved.items()}
        adjusted = holm([flip.p for flip in flips.values()])
        tests = [ChangeTest(s, flip, p) for (s, flip), p in zip(flips.items(), adjusted, strict=True)]
        return sorted(tests, key=lambda test: test.flip.p)

    def _runs(self, change: Change, stand_in: float) -> Curves | None:
        """All runs behind a change, the second ledger's first; None where seeds or grids differ."""
        sides = [side.comparison.at(change.task, change.budget) for side in (self.second, self.first)]
        scores = [group[change.strategy].score for group in sides]
        if scores[0].peak_lrs != scores[1].peak_lrs or len({len(score.selected) for score in scores}) != 1:
            return None
        if len(change.lead) != len(scores[0].selected):
            return None
        sign = 1.0 if self.first.comparison.direction(change.task) == "max" else -1.0
        return curves_of([scores], [stand_in], sign, lambda t: None if t.final is None else sign * t.final)


def _end(cell: CellRow) -> str:
    """Outcome of a cell as text."""
    result = cell.result
    # Parent and start tell which cells shared the training. That is no result.
    if not isinstance(result, Done):
        result = replace(result, parent=None, start=None)
    return lines.text({"status": cell.status} | result.payload())


def _largest(change: Change, changes: Sequence[Change]) -> float:
    """Largest difference of the change's task, which stands in where one of two runs diverged; 1 without any."""
    sizes = [abs(d) for other in changes if other.task == change.task for d in other.lead if math.isfinite(d)]
    return max(sizes, default=0.0) or 1.0
