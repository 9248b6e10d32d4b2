"""The course of a run: what its member went through, by the evaluations recorded of it and of its ancestors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.ledger.rows import EvalRow


class HistoryInterval(NamedTuple):
    """A run between two evaluations. Means are over its updates; ledgers from before norms were noted have none."""

    start: int  # updates done before it
    end: int  # and after it
    lr: float  # of its last update
    train_loss: float
    grad_norm: float | None  # before clipping
    test_loss: float  # at its end
    test: float  # of the headline metric, at its end


class Histories:
    """All evaluations of a ledger, by member."""

    def __init__(self, evals: Iterable[EvalRow]):
        self._parent: dict[tuple[str, int], tuple[int, int]] = {}  # of a forked segment: its parent, and its start
        self._evals: dict[tuple[str, int], list[EvalRow]] = {}
        for it in evals:
            member = it.cohort, it.segment
            if it.average is None:  # averages are read beside the weights that train
                self._evals.setdefault(member, []).append(it)
            if it.parent is not None:
                self._parent[member] = it.parent, it.start

    def of(self, cohort: str, segment: int, total: int, grid: int) -> list[HistoryInterval]:
        """What a cell went through that rode this segment for a budget of `total`, from update 0; [] if not told.

        Evaluations between those of the grid (every `grid` updates) are of other budgets, but for the last one.
        """
        seen: dict[int, EvalRow] = {}
        member, end = (cohort, segment), total
        while True:
            parent, start = self._parent.get(member, (None, 0))
            steps = ((it.step, it) for it in self._evals.get(member, ()))
            seen |= {step: it for step, it in steps if start < step <= end and (step % grid == 0 or step == total)}
            if parent is None:
                return _stretches(seen) if total in seen else []
            member, end = (cohort, parent), start


def _stretches(seen: Mapping[int, EvalRow]) -> list[HistoryInterval]:
    ends = sorted(seen)
    return [_stretch(start, end, seen[end]) for start, end in zip([0, *ends], ends, strict=False)]


def _stretch(start: int, end: int, it: EvalRow) -> HistoryInterval:
    return HistoryInterval(start, end, it.lr, _loss(it.train_loss), it.grad_norm, it.test_loss, it.test)


def _loss(mean: float | None) -> float:
    """A mean training loss; NaN where every loss overflowed."""
    return math.nan if mean is None else mean


def decline(course: Sequence[HistoryInterval]) -> float | None:
    """Gradient norm in the last tenth of a run over that in the first tenth after warmup.

    Each is the mean over the stretches that reach into its tenth, by their updates. Warmup ends with the stretch that
    has the highest LR. None where the two overlap (too few evaluations), or a norm is not told or 0.
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
