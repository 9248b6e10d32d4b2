"""Group-sequential looks at the primary test: seeds are added until it is decided. No text.

The looks, as numbers of seeds, are declared before the run. Each spends a part of the level, so that together they
stay within it; so do the intervals of the effect, which are wide enough to hold at all looks together in 95 %. What a
look has decided stays decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.comparison import Comparison
from bench.analysis.protocol.primary import ALPHA, Hypothesis, PrimaryTest, Word
from bench.analysis.protocol.reference import standings
from bench.analysis.stats.intervals import LEVEL
from bench.analysis.stats.spending import levels

DECIDED: tuple[Word, ...] = ("better", "worse", "equal")


def verdicts(comparison: Comparison) -> tuple[Hypothesis, ...]:
    """Hypotheses of the primary test, each as the first look found it that decided it; else as the last one did."""
    looks = comparison.study.plan.seed_looks
    return _by_look(comparison, looks, len(looks)) if looks else PrimaryTest(comparison).hypotheses


def undecided_tasks(comparison: Comparison, looks: Sequence[int], look: int) -> set[str]:
    """Tasks that need more seeds after the looks up to number `look` (0-based); none if all is decided.

    A task matters to an undecided hypothesis unless the strategy is equal to the reference there at every budget.
    """
    names, test = set(), PrimaryTest(comparison)
    for h in _by_look(comparison, looks, look + 1):
        if h.word not in DECIDED:
            names |= {task for task in h.tasks if not _equal(test, task, h.strategy)}
    return names


def _by_look(comparison: Comparison, looks: Sequence[int], done: int) -> tuple[Hypothesis, ...]:
    decided: dict[tuple[str, str], Hypothesis] = {}
    errors = zip(levels(looks, ALPHA), levels(looks, 1 - LEVEL), strict=True)
    for n, (alpha, outside) in zip(looks[:done], errors, strict=False):
        for h in PrimaryTest(first_seeds(comparison, n), alpha=alpha, level=1 - outside).hypotheses:
            key = h.strategy, h.group
            if key not in decided or decided[key].word not in DECIDED:
                decided[key] = h
    return tuple(sorted(decided.values(), key=lambda h: (h.p, -h.flip.effect)))


def first_seeds(comparison: Comparison, n: int) -> Comparison:
    """The comparison with the first n seeds of each task."""
    study = comparison.study
    return Comparison(replace(study, tries=tuple(t for t in study.tries if t.seed < n)))


def _equal(test: PrimaryTest, task: str, strategy: str) -> bool:
    words = [standings(test.comparison, task, b)[strategy].word for b in test.columns(task, strategy)]
    return all(word == "equal" for word in words)
