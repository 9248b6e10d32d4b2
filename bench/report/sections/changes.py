"""`glideslope compare` in words: the answer first, then what it rests on and what stands in one ledger only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.analysis.changes import Change, Changes, Side
from bench.analysis.reference import ALPHA
from bench.report import write
from bench.report.markup import Item, Mark, Table
from bench.report.numbers import MISSING, listed, percent, value
from bench.report.sections.reference import probability

if TYPE_CHECKING:
    from rich.console import Console

LINES = 40
"""Most lines of the table that are printed."""


def show(it: Changes, console: Console) -> None:
    """Print what changed, the answer first."""
    for line in (verdict(it), *details(it)):
        console.print(line, highlight=False, markup=False)
    moved = [c for c in it.changes if any(c.lead)]
    if moved:
        console.print()
        write.put(table(it, moved), console)
        if len(moved) > LINES:
            console.print(f"{len(moved) - LINES:,} more lines are left out, of smaller changes.", highlight=False)
        console.print("“Clearly”: the 95 % interval over seeds excludes 0; no line is adjusted for the others.")


def verdict(it: Changes) -> str:
    """What changed, in one sentence."""
    n, k = len(it.common), len(it.differing)
    if not n and not it.changes:
        return "Nothing to compare: the two ledgers have no cell and no strategy of a task and budget in common."
    if not k and n:
        return f"No difference in {n:,} payloads: every cell in common ended with the same bits."
    found = {
        up: [t.strategy for t in it.tests if t.adjusted <= ALPHA and (t.flip.effect > 0) == up] for up in (True, False)
    }
    said = [
        f"significantly {word}: {listed(names)}"
        for word, names in (("better", found[True]), ("worse", found[False]))
        if names
    ]
    cells = f"{k:,} of {n:,} cells in common ended differently" if n else "No cell is in common"
    if not it.tests:
        return f"{cells}; no strategy has two seeds or more in both ledgers and changed, so nothing is tested."
    end = "; ".join(said) if said else "no strategy is significantly better or worse"
    return f"{cells}; in {it.second.directory}, {end}."


def details(it: Changes) -> Iterator[str]:
    """What the sentence rests on, and what stands in one ledger only."""
    if it.tests:
        low = it.tests[0]
        yield (
            f"Tested: {len(it.tests)} strategies that changed, each by sign flips over tasks and seeds at the largest "
            f"budgets in common, with Holm's correction, at {percent(ALPHA)}; lowest p {probability(low.flip.p)} "
            f"({low.strategy}), {probability(low.adjusted)} corrected."
        )
    others = [k for k in it.common if it.first.cells[k].settings.cell != it.second.cells[k].settings.cell]
    if others:
        yield f"{len(others):,} of the cells in common have other ids: their data, or what settings mean, changed."
    for task in it.unlike:
        yield f"{task} is judged by different metrics, and is left out."
    for side, other in ((it.first, it.second), (it.second, it.first)):
        only = [k for k in side.cells if k not in other.cells]
        if only:
            yield f"Only in {side.directory}: {len(only):,} cells{_whose(side, other)}."
    mine, theirs = it.first.versions, it.second.versions
    moved = [
        f"{k} {mine.get(k, 'none')} → {theirs.get(k, 'none')}"
        for k in dict.fromkeys([*mine, *theirs])
        if mine.get(k) != theirs.get(k)
    ]
    if moved:
        yield f"Ran with: {', '.join(moved)}."


def _whose(side: Side, other: Side) -> str:
    """Which whole tasks or strategies the other lacks."""
    more = [t for t in side.comparison.study.tasks if t not in other.comparison.study.tasks]
    there = {t.strategy for t in other.comparison.study.tries}
    mine = (t.strategy for t in side.comparison.study.tries if t.task in other.comparison.study.tasks)
    new = [s for s in dict.fromkeys(mine) if s not in there]
    parts = [f"tasks {listed(more)}"] * bool(more) + [f"strategies {listed(new)}"] * bool(new)
    return f", with {' and '.join(parts)}" if parts else ""


def table(it: Changes, moved: Sequence[Change]) -> Table:
    """Every change, the clear ones first, then by size in half-widths."""

    def size(c: Change) -> float:
        if c.better is None:
            return math.inf
        return abs(c.better.mean) / c.better.half if c.better.half else abs(c.better.mean)

    looks: dict[str, Mark] = {"clearly better": "best", "clearly worse": "bad", "diverged more": "bad"}
    order = sorted(moved, key=lambda c: (c.word in ("within noise", "not judged"), -size(c)))[:LINES]
    rows = tuple(
        (
            Item(f"{c.task}, {percent(c.budget)}: {c.strategy}"),
            Item(value(c.before)),
            Item(value(c.after)),
            Item(value(c.better, signed=True) if c.better else MISSING),
            Item(c.word, looks.get(c.word, "")),
        )
        for c in order
    )
    return Table(
        "What changed; above 0 is better in the second",
        ("task, budget: strategy", "first", "second", "change", "verdict"),
        rows,
    )
