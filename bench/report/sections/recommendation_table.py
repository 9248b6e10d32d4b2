"""The evidence for a recommendation: a table of each task, and what is not counted."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.comparison import Score
from bench.analysis.recommend.recommendation import Recommendation
from bench.analysis.recommend.verdict import TaskVerdict
from bench.analysis.stats.intervals import Interval
from bench.report import tables
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, listed, quantity, value


def table(r: Recommendation, v: TaskVerdict) -> Table:
    """Every strategy of a task beside the reference, best first."""
    e, rows = v.evidence, []
    for s, verdict in e.ranked:
        standing = v.standings.get(s)
        lead = MISSING if standing is None else resolved_value(standing.lead, signed=True)
        fields = Item(tables.outcome(verdict.score)), Item(lead), Item(peaks(verdict.score))
        rows.append((Item(s), *fields, Item("reference" if standing is None else standing.word)))
    metric = f"final test {e.facts.metric} ({e.facts.direction})"
    places = listed(list(map(str, r.sources[e.task])))
    title = f"{places}: {e.task}, {quantity(e.epochs, e.facts.unit)}, n = {e.n}, {metric}"
    return Table(title, ("strategy", "final", f"ahead of {v.reference}", "peak LR", "verdict"), tuple(rows))


def unused(r: Recommendation) -> Iterator[str]:
    """One sentence for each ledger whose runs of a task are not counted."""
    for o in r.evidence:
        if o.directory not in r.sources[o.task]:
            ran = f"{quantity(o.epochs, o.facts.unit)}, {quantity(o.n, 'seeds')}"
            yield (
                f"Not counted: {o.task} in {o.directory} ({ran}): a task counts once, from the ledger with most seeds "
                "at the nearest budget."
            )


def resolved_value(interval: Interval | None, *, signed: bool = False) -> str:
    """An interval with as many digits as show on which side of its half-width the mean lies.

    >>> resolved_value(Interval(0.0041, 0.0039, 3)), resolved_value(Interval(0.02, 0.004, 3))
    ('0.0041 ± 0.0039', '0.020 ± 0.004')
    """
    text = value(interval, signed=signed)
    digits = 1
    while interval is not None and interval.half and abs(interval.mean) != interval.half and _equal(text):
        digits += 1
        text = f"{interval.mean:{'+' if signed else ''}.{digits}g} ± {interval.half:.{digits}g}".replace("-", "−")
    return text


def _equal(text: str) -> bool:
    mean, _, half = text.partition(" ± ")
    return mean.strip("(−+") == half.partition(")")[0]


def peaks(score: Score) -> str:
    """Range of the peak LRs chosen, with the edges of the grid."""
    peak_lrs = [t.peak_lr for t in score.selected]
    edges = "".join({"low": "↓", "high": "↑"}[edge] for edge in score.edges)
    low_high = dict.fromkeys((min(peak_lrs), max(peak_lrs)))  # one if they are the same
    return " to ".join(f"{lr:g}" for lr in low_high) + f" {edges}" * bool(edges)
