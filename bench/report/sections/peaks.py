"""LR by LR: every strategy at every peak LR, beside the reference at the same one. Rankings can flip with the peak LR.

Nothing is chosen here, so control values play no part: each number is the final test value at a peak LR.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bench.analysis.comparison import Comparison, lead
from bench.analysis.stats.intervals import Interval, ranks
from bench.report.csv_tables import csv_text
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, listed, number, percent, value

COLUMNS = "task budget peak_lr strategy n diverged mean low high half rank over_reference over_reference_half"

NAMES = 6
"""Most strategies that are named in a sentence; the table has them all."""


class PeakEntry(NamedTuple):
    """A strategy at one peak LR of one task and budget."""

    final: Interval | None  # None where a run diverged, or none is there
    lost: int  # runs that diverged or failed
    rank: float | None  # among the strategies of the reference's optimizer with a value at this peak LR
    over: Interval | None  # how much better than the reference at the same peak LR, paired by seed


def alike(it: Comparison, task: str, budget: float) -> set[str]:
    """The reference and the strategies of its optimizer: one LR is not the same thing to two optimizers."""
    group, against = it.at(task, budget), it.reference(task)
    if against is None or against not in group:
        return set()
    usual = group[against].score.tries[0].optimizer
    return {s for s, v in group.items() if v.score.tries[0].optimizer == usual}


def entries(it: Comparison, task: str, budget: float) -> dict[tuple[str, float], PeakEntry]:
    """By (strategy, peak LR), for what was tried."""
    group, against = it.at(task, budget), it.reference(task)
    direction, found = it.direction(task), {}
    beside = alike(it, task, budget)
    for lr in sorted({lr for v in group.values() for lr in v.score.peak_lrs}):
        seen = {s: v.score.at_peak(lr) for s, v in group.items() if lr in v.score.peak_lrs}
        sound = {s: final for s, (final, *_) in seen.items() if final and s in beside}
        rank = dict(zip(sound, ranks([final.mean for final in sound.values()], direction), strict=True))
        for s, (final, lost, _) in seen.items():
            over = None
            if against is not None and s in beside and s != against:
                mine, theirs = ([t for t in group[x].score.tries if t.peak_lr == lr] for x in (s, against))
                over = lead(mine, theirs, direction, it.grain(task))
            found[s, lr] = PeakEntry(final, lost, rank.get(s), over)
    return found


def table(it: Comparison, task: str) -> Table | None:
    """Differences from the reference, LR by LR, at the largest budget; None where the task has no reference."""
    budget = it.study.budgets(task)[-1]
    found = entries(it, task, budget)
    if all(e.over is None for e in found.values()):
        return None
    beside = alike(it, task, budget)
    peaks = sorted({lr for s, lr in found if s in beside})
    rows = []
    for s in it.standing(task):
        mine = [found.get((s, lr)) for lr in peaks]
        if s != it.reference(task) and s in beside:
            rows.append((Item(s), *(Item(_text(e), "best" if e and e.rank == 1 else "") for e in mine)))
    note = (
        f"Above 0: better than {it.reference(task)} at the same peak LR, paired by seed, ± half of the 95 % interval. "
        "In brackets: the rank at this peak LR, the reference's counted. Nothing is chosen, nor adjusted for the rest."
    )
    title = f"{task}: LR by LR, over {it.reference(task)} at {percent(budget)}"
    return Table(title, ("strategy", *(f"{lr:g}" for lr in peaks)), tuple(rows), (note,))


def _text(it: PeakEntry | None) -> str:
    if it is None or (it.over is None and not it.lost):
        return MISSING
    if it.lost:
        return f"diverged {it.lost}"
    return f"{value(it.over, signed=True)} ({it.rank:.3g})"


def flips(it: Comparison, task: str) -> Iterator[str]:
    """Which strategies are better than the reference at some peak LRs and worse at others, the largest flips first."""
    found = entries(it, task, it.study.budgets(task)[-1])
    turned = []
    for s in it.standing(task):
        over = [(lr, e.over) for (name, lr), e in found.items() if name == s and e.over]
        up, down = max(over, key=lambda p: p[1].mean, default=None), min(over, key=lambda p: p[1].mean, default=None)
        if up and down and up[1].mean > 0 > down[1].mean:
            text = f"{s} ({_at(*up)}, {_at(*down)})"
            turned.append((up[1].excludes_zero and down[1].excludes_zero, min(up[1].mean, -down[1].mean), text))
    if turned:
        turned.sort(key=lambda t: (not t[0], -t[1]))
        clear = sum(t[0] for t in turned)
        names = [t[2] for t in turned[:NAMES]] + [f"{len(turned) - NAMES} more"] * (len(turned) > NAMES)
        yield (
            f"The order flips with the peak LR: by their means, better than {it.reference(task)} at one and worse at "
            f"another are {listed(names)}; clearly so, at both, {clear} of them."
        )


def _at(lr: float, over: Interval) -> str:
    return f"{number(over.mean, signed=True)} at {lr:g}"


def peaks_csv(it: Comparison) -> str:
    """One line for each task, budget, peak LR and strategy, in full precision."""
    lines = []
    for task, budget in it.verdicts:
        for (s, lr), e in entries(it, task, budget).items():
            line: dict[str, object] = {"task": task, "budget": budget, "peak_lr": lr, "strategy": s, "diverged": e.lost}
            final, over = e.final, e.over
            line |= {"n": final.n if final else 0, "rank": e.rank}
            line |= {"mean": final.mean, "low": final.low, "high": final.high, "half": final.half} if final else {}
            line |= {"over_reference": over.mean, "over_reference_half": over.half} if over else {}
            lines.append(line)
    return csv_text(COLUMNS, lines)
