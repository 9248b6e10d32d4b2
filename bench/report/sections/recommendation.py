"""The output of `glideslope recommend`: the answer first, then the evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from bench.analysis.comparison import Score
from bench.analysis.recommendation import SEEDS, Doubt, Evidence
from bench.analysis.stats.intervals import Interval, ranks
from bench.report import tables, write
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, listed, quantity, value

if TYPE_CHECKING:
    from rich.console import Console

NAMES = 4
"""Most strategies that are named in a sentence; the table has them all."""

TASKS = 3
"""Most tasks of a family that get a line of their own without `--long`."""


def show(evidence: Sequence[Evidence], subject: str, epochs: float, console: Console, *, long: bool = True) -> None:
    """Print the answer; with `long`, the evidence, too."""
    for line in answer(evidence, subject, epochs, long=long):
        console.print(line, highlight=False, markup=False)
    if not (evidence and long):
        return
    console.print()
    for e in evidence:
        write.print_table(table(e), console)
    last = "Peak LRs: those chosen by seeds; ↓ ↑ mark an edge of the grid, beyond which a better one may lie."
    console.print(f"± is half of the 95 % interval over seeds. {last}", highlight=False, markup=False)


def answer(evidence: Sequence[Evidence], subject: str, epochs: float, *, long: bool = True) -> Iterator[str]:
    """The recommendation first, then a sentence for each task; or the reason why there is none."""
    if not evidence:
        yield f"Not enough data: no ledger at hand has a result on {subject}. Run it, or name one with --ledger DIR."
        return
    best: dict[str, Evidence] = {}
    for e in evidence:  # the first of each task
        best.setdefault(e.task, e)
    sound = [e for e in best.values() if not e.doubts(epochs)]
    doubtful = [e for e in best.values() if e.doubts(epochs)]
    if len(best) > 1:
        yield _over_tasks(sound, subject)
    brief = len(best) > 1 and not long
    for e in sound[:TASKS] if brief else sound:
        yield _line(e) if brief else _advice(e)
    if brief and doubtful:
        yield f"Not enough data on {listed([e.task for e in doubtful][:NAMES])}{_more(len(doubtful) - NAMES)}."
    for e in [] if brief else doubtful:
        reasons = "; ".join(_reason(e, doubt, epochs) for doubt in e.doubts(epochs))
        yield f"Not enough data on {e.task} for {quantity(epochs, e.unit)} ({e.directory}): {reasons}."
    if not long:
        yield f"--long shows {'all tasks, reasons' if brief else 'the tables of all strategies'} and notes."


def _reason(e: Evidence, doubt: Doubt, epochs: float) -> str:
    """A doubt in words."""
    if doubt == "few seeds":
        return f"n = {e.n} seed{'s' * (e.n != 1)}, {SEEDS} or more are needed"
    if doubt == "distant budget":
        factor = e.budget_factor(epochs)
        return f"the nearest budget is {quantity(e.epochs, e.unit)}, off by a factor of {factor:.3g}"
    return "only one strategy was run"


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _line(e: Evidence) -> str:
    (first, verdict), *_ = e.ranked
    reached = f"{value(verdict.score.final)} ({e.n} seeds, {e.directory})"
    return f"{e.task}, {quantity(e.epochs, e.unit)}: {first} at peak LR {peaks(verdict.score)}, {reached}"


def _advice(e: Evidence) -> str:
    (first, verdict), *others = e.ranked
    near = [s for s, v in others if v.word in ("within noise", "identical run")]
    more = [*near[:NAMES], *[f"{len(near) - NAMES} more"] * (len(near) > NAMES)]
    sure = f"not distinguishable from it: {listed(more)}" if near else "clearly better than all others"
    return (
        f"{e.task}, {quantity(e.epochs, e.unit)}: {first} at peak LR {peaks(verdict.score)} ended best, "
        f"{value(verdict.score.final)} ({e.n} seeds, {e.directory}); {sure}."
    )


def comparable(sound: Sequence[Evidence]) -> tuple[list[Evidence], list[str]]:
    """The most tasks that have two strategies or more in common, and these strategies; nothing if no two tasks have.

    A task that ran other strategies, or few, is left out, so that the rest keep what they have in common.
    """
    strategies = [{s for s, _ in e.ranked} for e in sound]
    common = [a & b for a, b in combinations(strategies, 2) if len(a & b) > 1]
    if not common:
        return [], []
    most = max(common, key=lambda names: (sum(names <= own for own in strategies), len(names), sorted(names)))
    return [e for e, own in zip(sound, strategies, strict=True) if most <= own], sorted(most)


def _over_tasks(sound: Sequence[Evidence], subject: str) -> str:
    """Mean ranks over the tasks of a family, among the strategies that they all ran."""
    members, names = comparable(sound)
    if not members:
        return f"Not enough data on {subject} as a whole: it takes two tasks with two strategies in common."
    lines_TK = []
    for e in members:
        verdicts = dict(e.ranked)
        finals = [verdicts[s].score.final for s in names]
        means = [final.mean if final else math.nan for final in finals]
        lines_TK.append(ranks(means, e.comparison.direction(e.task)))
    mean = {s: math.fsum(column) / len(members) for s, column in zip(names, zip(*lines_TK, strict=True), strict=True)}
    order = sorted(names, key=lambda s: mean[s])
    first = ", ".join(f"{s} ({mean[s]:.1f})" for s in order[:3])
    others = [e.task for e in sound if e not in members]
    aside = f" (not {listed(others[:NAMES])}{_more(len(others) - NAMES)}, which ran others)" if others else ""
    return (
        f"Over {len(members)} tasks of {subject}{aside}, by mean rank among {len(names)} strategies: {first}. "
        "Ranks describe; no test says that they differ."
    )


def table(e: Evidence) -> Table:
    """Every strategy of one piece of evidence, best first."""
    rows = []
    for s, v in e.ranked:
        behind = MISSING if v.word in ("best", "identical run") else resolved_value(v.behind)
        fields = Item(tables.outcome(v.score)), Item(behind), Item(peaks(v.score))
        rows.append((Item(s), *fields, Item(v.word, tables.LOOK.get(v.word, ""))))
    facts = e.comparison.study.tasks[e.task]
    metric = f"final test {facts.metric} ({facts.direction})"
    title = f"{e.directory}: {e.task}, {quantity(e.epochs, e.unit)}, n = {e.n}, {metric}"
    return Table(title, ("strategy", "final", "behind the best", "peak LR", "verdict"), tuple(rows))


def resolved_value(interval: Interval | None) -> str:
    """An interval with as many digits as show on which side of its half-width the mean lies.

    >>> resolved_value(Interval(0.0041, 0.0039, 3)), resolved_value(Interval(0.02, 0.004, 3))
    ('0.0041 ± 0.0039', '0.020 ± 0.004')
    """
    text = value(interval)
    digits = 1
    while interval is not None and interval.half and abs(interval.mean) != interval.half and _equal(text):
        digits += 1
        text = f"{interval.mean:.{digits}g} ± {interval.half:.{digits}g}".replace("-", "−")
    return text


def _equal(text: str) -> bool:
    mean, _, half = text.partition(" ± ")
    return mean.strip("(−") == half.partition(")")[0]


def peaks(score: Score) -> str:
    """Range of the peak LRs chosen, with the edges of the grid."""
    peak_lrs = [t.peak_lr for t in score.selected]
    edges = "".join({"low": "↓", "high": "↑"}[edge] for edge in score.edges)
    low_high = dict.fromkeys((min(peak_lrs), max(peak_lrs)))  # one if they are the same
    return " to ".join(f"{lr:g}" for lr in low_high) + f" {edges}" * bool(edges)
