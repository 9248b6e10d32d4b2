"""The training course of a run, from the evaluations recorded of its member and of the member's ancestors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.ledger.rows import EvalRow


class HistoryInterval(NamedTuple):
    """A run between two evaluations. Means are over its updates. Old ledgers have no gradient norms."""

    start: int  # updates done before it
    end: int  # and after it
    lr: float  # of its last update
    train_loss: float
    grad_norm: float | None  # before clipping
    test_loss: float  # at its end
    test: float  # of the headline metric, at its end


class Histories:
    """Evaluations of a ledger, by member."""

    def __init__(self, evals: Iterable[EvalRow]):
        self._parent: dict[tuple[str, int], tuple[int, int]] = {}  # of a forked segment: its parent, and its start
        self._evals: dict[tuple[str, int], list[EvalRow]] = {}
        for row in evals:
            member = row.cohort, row.segment
            if row.average is None:  # averages are evaluated in addition to the weights that train
                self._evals.setdefault(member, []).append(row)
            if row.parent is not None:
                self._parent[member] = row.parent, row.start

    def of(self, cohort: str, segment: int, total: int, grid: int) -> list[HistoryInterval]:
        """Course, from update 0, of a cell that rode this segment for `total` updates; [] where it was not recorded.

        Evaluations off the grid (every `grid` updates) belong to other budgets, except for the last one.
        """
        by_step: dict[int, EvalRow] = {}
        for member, start, end in self.pieces(cohort, segment, total):
            for row in self._evals.get((cohort, member), ()):
                if start < row.step <= end and (row.step % grid == 0 or row.step == total):
                    by_step[row.step] = row
        return _intervals(by_step) if total in by_step else []

    def pieces(self, cohort: str, segment: int, total: int) -> list[tuple[int, int, int]]:
        """Segments that a cell rode for `total` updates, the last one first: (segment, first update, end)."""
        pieces, end = [], total
        while True:
            parent, start = self._parent.get((cohort, segment), (None, 0))
            pieces.append((segment, start, end))
            if parent is None:
                return pieces
            segment, end = parent, start


def _intervals(by_step: Mapping[int, EvalRow]) -> list[HistoryInterval]:
    ends = sorted(by_step)
    return [_interval(start, end, by_step[end]) for start, end in zip([0, *ends], ends, strict=False)]


def _interval(start: int, end: int, row: EvalRow) -> HistoryInterval:
    return HistoryInterval(start, end, row.lr, _loss(row.train_loss), row.grad_norm, row.test_loss, row.test)


def _loss(mean: float | None) -> float:
    """A mean training loss; NaN where every loss overflowed."""
    return math.nan if mean is None else mean


def decline(course: Sequence[HistoryInterval]) -> float | None:
    """Ratio of the gradient norm in the last tenth of a run to that in the first tenth after warmup.

    Each is the mean over the intervals that reach into its tenth, weighted by their updates. Warmup ends with the
    interval that has the highest LR. None where the two overlap (too few evaluations), or a norm is missing or 0.
    """
    if not course:
        return None
    total, warm = course[-1].end, max(course, key=lambda s: (s.lr, -s.end)).start
    early = [s for s in course if s.end > warm and s.start < warm + total / 10]
    late = [s for s in course if s.end > total - total / 10]
    if early[-1].end > late[0].start:
        return None
    before, after = _norm(early), _norm(late)
    return after / before if before and after else None


def _norm(course: Sequence[HistoryInterval]) -> float | None:
    norms = [s.grad_norm for s in course]
    if any(norm is None for norm in norms):
        return None
    return sum((s.end - s.start) * (s.grad_norm or 0.0) for s in course) / sum(s.end - s.start for s in course)
