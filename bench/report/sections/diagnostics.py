"""Diagnostics of a comparison, in tables and as CSV; `bench.analysis.diagnostics` computes them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.analysis.comparison import Comparison
from bench.analysis.diagnostics import Diagnosis, Diagnostics, Region, beside_averages
from bench.analysis.stats.intervals import Interval
from bench.report.csv_tables import csv_text
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, value

COLUMNS = """
    task strategy budget n train_loss test_loss gap gap_half gap_over_reference gap_over_reference_half
    norm_ratio norm_ratio_low norm_ratio_high norm_ratio_over_reference norm_ratio_over_reference_low
    norm_ratio_over_reference_high good_low good_high octaves octaves_below grid_octaves
    recalibrated_over recalibrated_over_half
"""

NOTES = (
    (
        "gap over the reference",
        "Gap: test loss after the last update minus the mean training loss (with augmentation and dropout, where there "
        "are any) since the evaluation before it; paired by seed, and below 0 it is less. An average has no training "
        "loss of its own, and Schedule-Free's is of other weights than those that are evaluated.",
    ),
    (
        "norm over the reference",
        "Gradient norm, before clipping: mean over the last tenth of the updates over that of the first one after "
        "warmup, geometric mean over seeds and its 95 % interval; above × 1 is a smaller decline.",
    ),
    (
        "good peak LRs, octaves",
        "Those within noise of the best one by the rule of comparison. The first number is how wide they are "
        "for certain; the second, where the next ones lie that are worse. Between them the grid is too coarse to tell.",
    ),
)
"""Meanings of the columns, said once a report."""


def columns(comparison: Comparison, task: str) -> dict[str, dict[str, str]]:
    """Fields by strategy of each diagnostic at the largest budget; none where nothing is recorded."""
    diagnoses = Diagnostics(comparison).of(task, comparison.study.budgets(task)[-1])
    if not any(d.test_loss or d.recalibrated for d in diagnoses.values()):
        return {}
    over, items = f"over {comparison.study.reference}", diagnoses.items()
    fields = {
        f"gap {over}": {s: value(d.gap_over, signed=True) for s, d in items},
        f"norm {over}": {s: factor(d.decline_over) for s, d in items},
        "good peak LRs, octaves": {s: octaves(d.region) for s, d in items},
    }
    return {name: column for name, column in fields.items() if any(text != MISSING for text in column.values())}


def sheets(comparison: Comparison, task: str) -> Iterator[Table]:
    """Decays beside averages of the reference, at the largest budget."""
    if rows := beside_averages(comparison, task):
        yield _averages(comparison, task, rows)


def factor(interval: Interval | None) -> str:
    """An interval of a log2 as a factor: × 0.5 (0.4 to 0.6).

    >>> factor(Interval(-1.0, 0.5, 3)), factor(Interval(2.0, None, 1)), factor(None)
    ('× 0.5 (0.354 to 0.707)', '× 4', '–')
    """
    if interval is None:
        return MISSING
    text = f"× {2**interval.mean:.3g}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} ({2**interval.low:.3g} to {2**interval.high:.3g})"


def octaves(region: Region | None) -> str:
    """Width of the region of good peak LRs: 1.7 to 5; ≥ 3.3 where it reaches an edge of the grid."""
    if region is None:
        return MISSING
    return f"≥ {region.octaves:.2g}" if math.isinf(region.most) else f"{region.octaves:.2g} to {region.most:.2g}"


def _averages(comparison: Comparison, task: str, rows: dict[str, dict[str, Interval]]) -> Table:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    body = tuple(
        (Item(s), *(_lead(rows[s].get(name)) for name in names)) for s in comparison.standing(task) if s in rows
    )
    notes = (
        "How much better each decay ended than constant LR read by that average, paired by seed; below 0 the average "
        "is better, and ≈ is within noise. Both with recomputed BatchNorm statistics, where there are any.",
    )
    title = f"{task}: decays over averages of {comparison.study.reference}"
    return Table(title, ("strategy", *names), body, notes)


def _lead(interval: Interval | None) -> Item:
    text = value(interval, signed=True)
    if interval is None or interval.half is None or interval.excludes_zero:
        return Item(text)
    return Item(f"{text} ≈")


# ----------------------------------------------------------------------------------------------------- CSV


def diagnostics_csv(comparison: Comparison) -> str:
    """One line for each task, budget and strategy, in full precision."""
    diagnostics = Diagnostics(comparison)
    lines = []
    for task, budget in comparison.verdicts:
        for strategy, diagnosis in diagnostics.of(task, budget).items():
            n = len(comparison.at(task, budget)[strategy].score.selected)
            lines.append({"task": task, "strategy": strategy, "budget": budget, "n": n} | _fields(diagnosis))
    return csv_text(COLUMNS, lines)


def _fields(diagnosis: Diagnosis) -> dict[str, object]:
    line: dict[str, object] = {}
    for name, mean in (("train_loss", diagnosis.train_loss), ("test_loss", diagnosis.test_loss)):
        if mean:
            line[name] = mean.mean
    paired = {
        "gap": diagnosis.gap,
        "gap_over_reference": diagnosis.gap_over,
        "recalibrated_over": diagnosis.recalibrated,
    }
    for name, over in paired.items():
        if over:
            line |= {name: over.mean, f"{name}_half": over.half}
    for name, log in (("norm_ratio", diagnosis.decline), ("norm_ratio_over_reference", diagnosis.decline_over)):
        if log:
            line[name] = 2**log.mean
        if log and log.low is not None:
            line[f"{name}_low"] = 2**log.low
        if log and log.high is not None:
            line[f"{name}_high"] = 2**log.high
    if good := diagnosis.region:
        line |= {"good_low": good.low, "good_high": good.high, "octaves": good.octaves}
        line |= {"octaves_below": good.most, "grid_octaves": good.step}
    return line
