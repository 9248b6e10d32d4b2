"""What `glideslope recommend` says: the answer first, then what it rests on."""

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

SHOWN = 3
"""Most tasks of a family that have a line of their own, and most notes, unless all is asked for."""


def show(found: Sequence[Evidence], asked: str, epochs: float, console: Console, *, long: bool = True) -> None:
    """Print the answer, and where all is asked for what it rests on."""
    for line in answer(found, asked, epochs, long=long):
        console.print(line, highlight=False, markup=False)
    if not (found and long):
        return
    console.print()
    for each in found:
        write.put(table(each), console)
    last = "Peak LRs: those chosen by seeds; ↓ ↑ mark an edge of the grid, beyond which a better one may lie."
    console.print(f"± is half of the 95 % interval over seeds. {last}", highlight=False, markup=False)


def answer(found: Sequence[Evidence], asked: str, epochs: float, *, long: bool = True) -> Iterator[str]:
    """The recommendation first, then a sentence for each task, or why there is none."""
    if not found:
        yield f"Not enough data: no ledger at hand has a result on {asked}. Run it, or name one with --ledger DIR."
        return
    best = list({e.task: e for e in reversed(found)}.values())[::-1]  # the first of each task
    sound = [e for e in best if not e.doubts(epochs)]
    doubtful = [e for e in best if e.doubts(epochs)]
    if len(best) > 1:
        yield _together(sound, asked)
    brief = len(best) > 1 and not long
    for e in sound[:SHOWN] if brief else sound:
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
    """As many tasks as have two strategies or more in common, and these strategies; nothing where no two have.

    One task whose strategies are others, or few, takes nothing away from what the rest have in common.
    """
    ran = [{s for s, _ in e.ranked} for e in sound]
    common = [a & b for a, b in combinations(ran, 2) if len(a & b) > 1]
    if not common:
        return [], []
    most = max(common, key=lambda names: (sum(names <= mine for mine in ran), len(names), sorted(names)))
    return [e for e, mine in zip(sound, ran, strict=True) if most <= mine], sorted(most)


def _together(sound: Sequence[Evidence], asked: str) -> str:
    """Mean ranks over the tasks of a family, among the strategies that they all ran."""
    those, names = comparable(sound)
    if not those:
        return f"Not enough data on {asked} as a whole: it takes two tasks with two strategies in common."
    lines_TK = []
    for e in those:
        finals = dict(e.ranked)
        means = [it.mean if (it := finals[s].score.final) else math.nan for s in names]
        lines_TK.append(ranks(means, e.comparison.direction(e.task)))
    mean = {s: math.fsum(column) / len(those) for s, column in zip(names, zip(*lines_TK, strict=True), strict=True)}
    order = sorted(names, key=lambda s: mean[s])
    first = ", ".join(f"{s} ({mean[s]:.1f})" for s in order[:3])
    others = [e.task for e in sound if e not in those]
    aside = f" (not {listed(others[:NAMES])}{_more(len(others) - NAMES)}, which ran others)" if others else ""
    return (
        f"Over {len(those)} tasks of {asked}{aside}, by mean rank among {len(names)} strategies: {first}. "
        "Ranks describe; no test says that they differ."
    )


def table(e: Evidence) -> Table:
    """Every strategy of one piece of evidence, best first."""
    rows = []
    for s, v in e.ranked:
        behind = MISSING if v.word in ("best", "identical run") else apart(v.behind)
        fields = Item(tables.outcome(v.score)), Item(behind), Item(peaks(v.score))
        rows.append((Item(s), *fields, Item(v.word, tables.LOOK.get(v.word, ""))))
    facts = e.comparison.study.tasks[e.task]
    judged = f"final test {facts.metric} ({facts.direction})"
    title = f"{e.directory}: {e.task}, {quantity(e.epochs, e.unit)}, n = {e.n}, {judged}"
    return Table(title, ("strategy", "final", "behind the best", "peak LR", "verdict"), tuple(rows))


def apart(it: Interval | None) -> str:
    """An interval with as many digits as show on which side of its half-width the mean lies.

    >>> apart(Interval(0.0041, 0.0039, 3)), apart(Interval(0.0039, 0.0041, 3)), apart(Interval(0.02, 0.004, 3))
    ('0.0041 ± 0.0039', '0.0039 ± 0.0041', '0.020 ± 0.004')
    """
    text = value(it)
    digits = 1
    while it is not None and it.half and abs(it.mean) != it.half and _equal(text):
        digits += 1
        text = f"{it.mean:.{digits}g} ± {it.half:.{digits}g}".replace("-", "−")
    return text


def _equal(text: str) -> bool:
    mean, _, half = text.partition(" ± ")
    return mean.strip("(−") == half.partition(")")[0]


def peaks(score: Score) -> str:
    """Range of the peak LRs chosen, with the edges of the grid."""
    chosen = sorted({t.peak_lr for t in score.selected})
    edges = "".join({"low": "↓", "high": "↑"}[edge] for edge in score.edges)
    return " to ".join(f"{lr:g}" for lr in dict.fromkeys((chosen[0], chosen[-1]))) + f" {edges}" * bool(edges)
