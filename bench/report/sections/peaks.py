"""LR by LR: every strategy compared with the reference at the same peak LR. Rankings can flip with the peak LR.

Nothing is chosen here, so control values play no part: each number is the final test value at a peak LR.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bench.analysis.comparison import Comparison, lead
from bench.analysis.stats.intervals import Interval, ranks
from bench.report.csv_tables import csv_text
from bench.report.numbers import listed, number

COLUMNS = "task budget peak_lr strategy n diverged mean low high half rank over_reference over_reference_half"

NAMES = 3
"""Most strategies that are named in a sentence; `peaks.csv` has them all."""


class PeakEntry(NamedTuple):
    """A strategy at one peak LR of one task and budget."""

    final: Interval | None  # None where a run diverged or failed
    diverged: int  # runs that diverged or failed
    rank: float | None  # among the strategies of the reference's optimizer with a value at this peak LR
    over: Interval | None  # how much better than the reference at the same peak LR, paired by seed


def peers(comparison: Comparison, task: str, budget: float) -> set[str]:
    """The reference and the other strategies of its optimizer; LRs of different optimizers cannot be compared."""
    group, against = comparison.at(task, budget), comparison.reference(task)
    if against is None or against not in group:
        return set()
    usual = group[against].score.tries[0].optimizer
    return {s for s, v in group.items() if v.score.tries[0].optimizer == usual}


def entries(comparison: Comparison, task: str, budget: float) -> dict[tuple[str, float], PeakEntry]:
    """Entries by (strategy, peak LR), for all that were tried."""
    group, against = comparison.at(task, budget), comparison.reference(task)
    direction, alike = comparison.direction(task), peers(comparison, task, budget)
    table = {}
    for lr in sorted({lr for v in group.values() for lr in v.score.peak_lrs}):
        outcomes = {s: v.score.at_peak(lr) for s, v in group.items() if lr in v.score.peak_lrs}
        sound = {s: final for s, (final, *_) in outcomes.items() if final and s in alike}
        rank = dict(zip(sound, ranks([final.mean for final in sound.values()], direction), strict=True))
        tries = {s: [t for t in group[s].score.tries if t.peak_lr == lr] for s in alike}
        for s, (final, diverged, _) in outcomes.items():
            over = None
            if against is not None and s in alike and s != against:
                over = lead(tries[s], tries[against], direction, comparison.grain(task))
            table[s, lr] = PeakEntry(final, diverged, rank.get(s), over)
    return table


def flips(comparison: Comparison, task: str) -> Iterator[str]:
    """A sentence on strategies better than the reference at some peak LRs and worse at others, largest flips first."""
    by_peak = entries(comparison, task, comparison.study.budgets(task)[-1])
    flipped = []  # (clear at both, size, text)
    for s in comparison.standing(task):
        over = [(entry.over, lr) for (name, lr), entry in by_peak.items() if name == s and entry.over]
        if not over:
            continue
        (up, up_lr), (down, down_lr) = (pick(over, key=lambda pair: pair[0].mean) for pick in (max, min))
        if up.mean > 0 > down.mean:
            text = f"{s} ({_at(up_lr, up)}, {_at(down_lr, down)})"
            flipped.append((up.excludes_zero and down.excludes_zero, min(up.mean, -down.mean), text))
    if flipped:
        flipped.sort(key=lambda flip: (not flip[0], -flip[1]))
        clear = sum(flip[0] for flip in flipped)
        names = [flip[2] for flip in flipped[:NAMES]]
        if len(flipped) > NAMES:
            names.append(f"{len(flipped) - NAMES} more")
        yield (
            f"The order flips with the peak LR: by their means, better than {comparison.reference(task)} at one and "
            f"worse at another are {listed(names)}; clearly so, at both, {clear} of them."
        )


def _at(lr: float, over: Interval) -> str:
    return f"{number(over.mean, signed=True)} at {lr:g}"


def peaks_csv(comparison: Comparison) -> str:
    """One line for each task, budget, peak LR and strategy, in full precision."""
    lines = []
    for task, budget in comparison.verdicts:
        for (strategy, lr), entry in entries(comparison, task, budget).items():
            final, over = entry.final, entry.over
            line: dict[str, object] = {"task": task, "budget": budget, "peak_lr": lr, "strategy": strategy}
            line |= {"diverged": entry.diverged, "n": final.n if final else 0, "rank": entry.rank}
            if final:
                line |= {"mean": final.mean, "low": final.low, "high": final.high, "half": final.half}
            if over:
                line |= {"over_reference": over.mean, "over_reference_half": over.half}
            lines.append(line)
    return csv_text(COLUMNS, lines)
