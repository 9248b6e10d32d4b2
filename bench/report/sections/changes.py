"""`glideslope compare` in words: the answer first, then the evidence, and what only one of the ledgers has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.analysis.changes import Change, Changes, Side
from bench.analysis.protocol.primary import ALPHA
from bench.report import write
from bench.report.markup import Item, Mark, Table
from bench.report.numbers import MISSING, listed, percent, value
from bench.report.sections.reference import probability

if TYPE_CHECKING:
    from rich.console import Console

LINES = 40
"""Most lines of the table that are printed."""


def show(changes: Changes, console: Console) -> None:
    """Print what changed, the answer first."""
    for line in (verdict(changes), *details(changes)):
        console.print(line, highlight=False, markup=False)
    changed = [c for c in changes.changes if any(c.lead)]
    if changed:
        console.print()
        write.print_table(table(changed), console)
        if len(changed) > LINES:
            console.print(f"{len(changed) - LINES:,} more lines are left out, of smaller changes.", highlight=False)
        console.print("“Clearly”: the 95 % interval over seeds excludes 0; no line is adjusted for the others.")


def verdict(changes: Changes) -> str:
    """The changes in one sentence."""
    n, k = len(changes.common), len(changes.differing)
    if not n and not changes.changes:
        return "Nothing to compare: the two ledgers have no cell and no strategy of a task and budget in common."
    if not k and n:
        return f"No difference in {n:,} payloads: every cell in common ended with the same bits."
    cells = f"{k:,} of {n:,} cells in common ended differently" if n else "No cell is in common"
    if not changes.tests:
        return f"{cells}; no strategy has two seeds or more in both ledgers and changed, so nothing is tested."
    significant = [t for t in changes.tests if t.adjusted <= ALPHA]
    better = [t.strategy for t in significant if t.flip.effect > 0]
    worse = [t.strategy for t in significant if t.flip.effect <= 0]
    sides = (("better", better), ("worse", worse))
    phrases = [f"significantly {word}: {listed(names)}" for word, names in sides if names]
    end = "; ".join(phrases) if phrases else "no strategy is significantly better or worse"
    return f"{cells}; in {changes.second.directory}, {end}."


def details(changes: Changes) -> Iterator[str]:
    """The evidence for the verdict, and what only one of the ledgers has."""
    first, second = changes.first, changes.second
    if changes.tests:
        low = changes.tests[0]
        yield (
            f"Tested: {len(changes.tests)} strategies that changed, by swaps of a seed's runs, at the "
            f"largest budgets in common, with Holm's correction, at {percent(ALPHA)}; lowest p "
            f"{probability(low.flip.p)} ({low.strategy}), {probability(low.adjusted)} corrected."
        )
    others = [k for k in changes.common if first.cells[k].settings.cell != second.cells[k].settings.cell]
    if others:
        yield f"{len(others):,} of the cells in common have other ids: their data, or what settings mean, changed."
    for task in changes.unlike:
        yield f"{task} is judged by different metrics, and is left out."
    for side, other in ((first, second), (second, first)):
        only = [k for k in side.cells if k not in other.cells]
        if only:
            yield f"Only in {side.directory}: {len(only):,} cells{_missing_in(other, side)}."
    before, after = first.versions, second.versions
    versions = [
        f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    if versions:
        yield f"Ran with: {', '.join(versions)}."


def _missing_in(other: Side, side: Side) -> str:
    """Whole tasks or strategies of one side that the other one lacks."""
    study, others = side.comparison.study, other.comparison.study
    tasks = [t for t in study.tasks if t not in others.tasks]
    names = dict.fromkeys(t.strategy for t in study.tries if t.task in others.tasks)
    strategies = [s for s in names if s not in {t.strategy for t in others.tries}]
    parts = [f"tasks {listed(tasks)}"] * bool(tasks) + [f"strategies {listed(strategies)}"] * bool(strategies)
    return f", with {' and '.join(parts)}" if parts else ""


def table(changes: Sequence[Change]) -> Table:
    """Every change, the clear ones first, then by size in half-widths."""
    looks: dict[str, Mark] = {"clearly better": "first better", "clearly worse": "worse", "diverged more": "worse"}
    order = sorted(changes, key=lambda c: (c.word in ("within noise", "not judged"), -_size(c)))[:LINES]
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
    head = ("task, budget: strategy", "first", "second", "change", "verdict")
    return Table("What changed; above 0 is better in the second", head, rows)


def _size(change: Change) -> float:
    """Size of a change in half-widths of its interval; infinite where a run diverged."""
    if change.better is None:
        return math.inf
    mean = abs(change.better.mean)
    return mean / change.better.half if change.better.half else mean
