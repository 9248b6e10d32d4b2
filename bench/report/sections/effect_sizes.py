"""Effect sizes and the sensitivity of verdicts to the number of tries, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.analysis.comparison import Comparison
from bench.analysis.protocol.effect_sizes import EffectSizes, Estimate
from bench.analysis.protocol.primary import Word
from bench.analysis.protocol.tries import sensitivity
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, quantity


def sizes(estimates: Sequence[EffectSizes], reference: str) -> Table | None:
    """Effect sizes of each strategy with their bootstrap intervals; None where there are none."""
    rows = []
    for size in estimates:
        parts = [_estimate(size.mean), _estimate(size.interquartile_mean), _share(size.improvement)]
        rows.append((Item(size.strategy), Item(str(size.tasks)), *map(Item, parts)))
    notes = (
        "In margins of each task, over its seeds, declared budgets averaged; with 95 % percentile intervals of a "
        "stratified bootstrap (seeds resampled within each task). With 8 seeds of 4 tasks these hold the true mean in "
        "92 % only, so verdicts use t intervals.",
        "The interquartile mean leaves out the lowest and highest quarter of runs. “Better” is the probability that a "
        "run ends better than the reference with its seed, a mean over tasks, ties counted half.",
    )
    head = ("strategy", "tasks", "mean", "interquartile mean", "better")
    return Table(f"By how much, over {reference}", head, tuple(rows), notes) if rows else None


def _estimate(e: Estimate) -> str:
    return f"{e.value:+.2f} ({e.low:+.2f} to {e.high:+.2f})".replace("-", "−")


def _share(e: Estimate) -> str:
    return f"{100 * e.value:.0f} % ({100 * e.low:.0f} to {100 * e.high:.0f} %)"


def tries(comparison: Comparison) -> Table | None:
    """Verdicts of the primary test with fewer peak LRs; None where there is nothing to leave out."""
    lines = sensitivity(comparison)
    strategies = list(dict.fromkeys(s for line in lines for s in line.words))
    if len(lines) < 2:
        return None
    rows = []
    for s in strategies:
        fields = []
        for line in lines:
            counts = line.words.get(s, Counter[Word]())
            words = (f"{word} {n}" if line.grids > 1 else word for word, n in sorted(counts.items(), key=_most))
            fields.append(Item(", ".join(words) or MISSING, "prose"))
        rows.append((Item(s), *fields))
    head = (f"{quantity(line.tries, 'peak LRs')} ({quantity(line.grids, 'grids')})" for line in lines)
    note = (
        "Each grid is a run of neighbours in the grid of every task, the same place for every strategy; counts are of "
        "grids. A choice at an edge counts here: what it would change is what this table shows."
    )
    title = "The primary test's verdicts, had fewer peak LRs been tried"
    return Table(title, ("strategy", *head), tuple(rows), (note,))


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
