"""The cell that stands for a strategy at a budget: the one whose weights are kept, and taken home. No text."""

from __future__ import annotations

from collections.abc import Collection

from bench.analysis.comparison import Comparison, Score
from bench.analysis.results import Try


def choices(comparison: Comparison, cells: Collection[str]) -> list[Try]:
    """The chosen cell of each task, budget and strategy, of these cells, by id."""
    groups = ((comparison.direction(task), group) for (task, _), group in comparison.verdicts.items())
    every = (choose(verdict.score, direction, cells) for direction, group in groups for verdict in group.values())
    return [one for one in every if one is not None]


def choose(score: Score, direction: str, cells: Collection[str]) -> Try | None:
    """At the peak LR that all seeds choose together, the seed with the best control value; None if none is kept.

    Of equal values the lowest seed counts. The test split has no say.
    """
    sign = 1.0 if direction == "max" else -1.0
    candidates = [t for t in score.tries if t.peak_lr == score.pick and t.cell in cells]
    ended = [(sign * t.control, -t.seed, t) for t in candidates if t.control is not None]
    return max(ended)[-1] if ended else None
