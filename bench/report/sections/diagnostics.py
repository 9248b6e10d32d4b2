"""Diagnostics of a comparison, in tables: what `diagnostics` found, as text and as CSV."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.analysis.comparison import Comparison
from bench.analysis.diagnostics import Diagnosis, Diagnostics, Region, beside_averages
from bench.analysis.stats.intervals import Interval
from bench.report.csv_tables import csv_text
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, percent, value

COLUMNS = """
    task strategy budget n train_loss test_loss gap gap_half gap_over_reference gap_over_reference_half
    norm_ratio norm_ratio_low norm_ratio_high norm_ratio_over_reference norm_ratio_over_reference_low
    norm_ratio_over_reference_high good_low good_high octaves octaves_below grid_octaves
    recalibrated_over recalibrated_over_half
"""

NORMS = (
    "Gradient norm, before clipping: mean over the last tenth of the updates over that of the first one after warmup, "
    "geometric mean over seeds and its 95 % interval; × 1 is no change, and “over” above × 1 is kept better."
)


def sheets(it: Comparison, task: str) -> Iterator[Table]:
    """The tables of a task, at its largest budget; none where nothing is told (a published run has its end only)."""
    found = Diagnostics(it).of(task, it.study.budgets(task)[-1])
    if any(d.test_loss or d.recalibrated for d in found.values()):
        yield _table(it, task, found)
    if rows := beside_averages(it, task):
        yield _averages(it, task, rows)


def _table(it: Comparison, task: str, found: dict[str, Diagnosis]) -> Table:
    norms, anew = any(d.decline for d in found.values()), any(d.recalibrated for d in found.values())
    rows = tuple(_row(s, found[s], norms, anew) for s in it.standing(task) if s in found)
    against = it.study.reference
    head = ["strategy", "training loss", "test loss", "gap", f"gap over {against}", "good peak LRs, octaves"]
    head += ["gradient norm, end / beginning", f"norm over {against}"] * norms + ["recalibrated − running"] * anew
    notes = [
        "Gap: test loss after the last update minus the mean training loss (with augmentation and dropout, where there "
        "are any) since the evaluation before it; “over” is paired by seed, and below 0 it is less. An average has no "
        "training loss of its own, and Schedule-Free's is of other weights than those that are read.",
        "Good peak LRs: those not clearly worse than the best one by the rule of comparison. The first number is how "
        "wide they are for certain; the second, where the next ones lie that are worse. Between them the grid of "
        f"{it.study.peak_lrs(task)} is too coarse to tell.",
    ]
    notes += [NORMS] * norms
    title = f"{task}: diagnostics at {percent(it.study.budgets(task)[-1])} of the full budget"
    return Table(title, tuple(head), rows, tuple(notes))


def _row(strategy: str, it: Diagnosis, norms: bool, anew: bool) -> tuple[Item, ...]:
    text = [value(it.train_loss), value(it.test_loss), value(it.gap, signed=True), value(it.gap_over, signed=True)]
    text += [octaves(it.region), *[factor(it.decline), factor(it.decline_over)] * norms]
    text += [value(it.recalibrated, signed=True)] * anew
    return (Item(strategy), *map(Item, text))


def factor(it: Interval | None) -> str:
    """An interval of a log2 as a factor: × 0.5 (0.4 to 0.6).

    >>> factor(Interval(-1.0, 0.5, 3)), factor(Interval(2.0, None, 1)), factor(None)
    ('× 0.5 (0.354 to 0.707)', '× 4', '–')
    """
    if it is None:
        return MISSING
    reach = f" ({2**it.low:.3g} to {2**it.high:.3g})" if it.low is not None and it.high is not None else ""
    return f"× {2**it.mean:.3g}{reach}"


def octaves(it: Region | None) -> str:
    """How wide the good region is: 1.7 to 5; ≥ 3.3 where it reaches an edge of the grid."""
    if it is None:
        return MISSING
    return f"≥ {it.octaves:.2g}" if math.isinf(it.most) else f"{it.octaves:.2g} to {it.most:.2g}"


def _averages(it: Comparison, task: str, rows: dict[str, dict[str, Interval]]) -> Table:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    body = tuple((Item(s), *(_lead(rows[s].get(name)) for name in names)) for s in it.standing(task) if s in rows)
    notes = (
        "How much better each decay ended than constant LR read by that average, paired by seed; below 0 the average "
        "is better, and ≈ is within noise. Both with BatchNorm statistics computed anew, where there are any.",
    )
    title = f"{task}: decays over averages of {it.study.reference}"
    return Table(title, ("strategy", *names), body, notes)


def _lead(it: Interval | None) -> Item:
    if it is None or it.half is None:
        return Item(value(it, signed=True))
    return Item(value(it, signed=True)) if it.excludes_zero else Item(value(it, signed=True) + " ≈", "noise")


# ----------------------------------------------------------------------------------------------------- CSV


def csv(it: Comparison) -> str:
    """One line for each task, budget and strategy, in full precision."""
    found, lines = Diagnostics(it), []
    for task, budget in it.verdicts:
        for strategy, diagnosis in found.of(task, budget).items():
            n = len(it.at(task, budget)[strategy].score.selected)
            lines.append({"task": task, "strategy": strategy, "budget": budget, "n": n} | _fields(diagnosis))
    return csv_text(COLUMNS, lines)


def _fields(it: Diagnosis) -> dict[str, object]:
    line: dict[str, object] = {}
    for name, mean in (("train_loss", it.train_loss), ("test_loss", it.test_loss)):
        line |= {name: mean.mean} if mean else {}
    for name, over in (("gap", it.gap), ("gap_over_reference", it.gap_over), ("recalibrated_over", it.recalibrated)):
        line |= {name: over.mean, f"{name}_half": over.half} if over else {}
    for name, log in (("norm_ratio", it.decline), ("norm_ratio_over_reference", it.decline_over)):
        line |= {name: 2**log.mean} if log else {}
        line |= {f"{name}_low": 2**log.low} if log and log.low is not None else {}
        line |= {f"{name}_high": 2**log.high} if log and log.high is not None else {}
    if good := it.region:
        line |= {"good_low": good.low, "good_high": good.high, "octaves": good.octaves}
        line |= {"octaves_below": good.most, "grid_octaves": good.step}
    return line
