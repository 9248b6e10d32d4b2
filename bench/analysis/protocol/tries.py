"""Sensitivity of verdicts to the number of peak LRs tried, derived from the same ledger. No text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from bench.analysis.comparison import Comparison
from bench.analysis.protocol.primary import PrimaryTest, Word

COUNTS = (1, 2, 3, 5)
"""Numbers of peak LRs that a reader may have tried."""


class TriesLine(NamedTuple):
    """Verdicts of the primary test on each strategy, over all runs of so many neighbouring peak LRs of the grid."""

    tries: int
    grids: int
    words: dict[str, Counter[Word]]


def sensitivity(comparison: Comparison) -> list[TriesLine]:
    """Verdicts with fewer peak LRs than were run, the same for every strategy; without the rule on edges.

    A grid of k neighbours begins at the same place in every task's own grid, counted from the lowest.
    """
    lines = []
    for k in COUNTS:
        words: dict[str, Counter[Word]] = {}
        grids = list(_narrowed(comparison, k))
        for narrowed in grids:
            for h in PrimaryTest(narrowed, interior=False).hypotheses:
                words.setdefault(h.strategy, Counter())[h.word] += 1
        if words:
            lines.append(TriesLine(k, len(grids), words))
    return lines


def _narrowed(comparison: Comparison, k: int) -> Iterator[Comparison]:
    """The comparison with k neighbouring peak LRs of each task; nothing where no task has so many."""
    study = comparison.study
    tried: dict[tuple[str, str], set[float]] = {}
    for t in study.tries:
        tried.setdefault((t.task, t.optimizer), set()).add(t.peak_lr)
    grids = {key: sorted(peaks) for key, peaks in tried.items()}
    for start in range(max(map(len, grids.values()), default=0) - k + 1):
        subset = {key: set(grid[start : start + k]) for key, grid in grids.items() if start + k <= len(grid)}
        tries = tuple(t for t in study.tries if t.peak_lr in subset.get((t.task, t.optimizer), ()))
        yield Comparison(replace(study, tries=tries))
