"""The output of `glideslope recommend`: one paragraph, and with `--long` the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.analysis.recommend.evidence import SEEDS, Doubt, Evidence
from bench.analysis.recommend.recommendation import Recommendation
from bench.analysis.recommend.verdict import MOST, FamilyBest, FamilyVerdict, TaskVerdict
from bench.ledger.rows import AUDIT
from bench.report import write
from bench.report.numbers import MISSING, listed, number, quantity, value
from bench.report.prediction.words import beyond
from bench.report.sections.answer import AUDITED
from bench.report.sections.missing_run import command, purpose
from bench.report.sections.recommendation_table import peaks, resolved_value, table, unused
from bench.report.sections.reference import WHY, probability

if TYPE_CHECKING:
    from rich.console import Console

NOTE = (
    "± is half of the 95 % interval over seeds; differences from the reference hold for the best of all tried. "
    "Peak LRs: those chosen by seeds; ↓ ↑ mark an edge of the grid, beyond which a better one may lie."
)

NAMES = 2
"""Most strategies or tasks that are named in a sentence; the tables have them all."""


def show(r: Recommendation, console: Console, *, long: bool = False) -> None:
    """Print the answer and the command that would make it surer; with `long`, the evidence, too."""
    console.print(" ".join(paragraph(r)), highlight=False, markup=False)
    runs = r.remedies()
    for run in runs if long else runs[:1]:
        console.print(purpose(run), highlight=False, markup=False)
        console.print(f"  {command(run)}", highlight=False, markup=False, soft_wrap=True)  # to be copied whole
    if not (long and r.evidence):
        return
    console.print()
    if r.over_family:
        for v in r.verdicts:
            console.print(" ".join(_task(r, v)), highlight=False, markup=False)
    for v in r.verdicts:
        write.print_table(table(r, v), console)
    for line in unused(r):
        console.print(line, highlight=False, markup=False)
    console.print(NOTE, highlight=False, markup=False)


def paragraph(r: Recommendation) -> Iterator[str]:
    """The sentences of the answer."""
    subject = f"family {r.subject}" if r.over_family else r.subject
    if not r.evidence:
        yield f"Not enough data: no ledger at hand has a result on {subject}. Run it, or name one with --ledger DIR."
        if r.kindred:
            yield f"There are results on {_few(r.kindred)}: these can be asked for by --task."
    elif not r.over_family:
        yield from _task(r, r.verdicts[0])
        if r.extrapolation:
            yield from beyond(r.extrapolation)
    elif r.family is None or r.family.verdict is None:
        yield from _no_family(r)
    else:
        yield from _family(r, r.family, r.family.verdict)


# ---------------------------------------------------------------------------------------------------- a task


def _task(r: Recommendation, v: TaskVerdict) -> Iterator[str]:
    e, doubts = v.evidence, v.doubts
    subject = f"{e.task} at {quantity(r.epochs, e.facts.unit)}"
    if "wind tunnel" in doubts:
        yield f"No decay is recommended for {e.task}: a wind tunnel's task tests theory, and stands for no other task."
        return
    if doubts:
        yield f"Not enough data on {subject}: {'; '.join(_reason(e, doubt, r.epochs) for doubt in doubts)}."
        if v.best is not None and len(e.ranked) > 1:
            yield f"So far {_leading(v)} ({_basis(r, v)})."
    else:
        yield _answer(r, v, subject)
    if v.outcome != "nothing learnt":
        yield from _details(v)
    if (publication := e.comparison.study.published) is not None:
        yield f"These are published runs ({publication.source}), not ours."
    if e.facts.engine == AUDIT:
        yield AUDITED


def _answer(r: Recommendation, v: TaskVerdict, subject: str) -> str:
    basis, facts, best = _basis(r, v), v.evidence.facts, str(v.best)
    match v.outcome:
        case "take":
            return f"Take {_at_peak(v, best)} for {subject}: it ends {_ahead(v)}{_worth(v)} ({basis})."
        case "keep":
            rest = f" The next, {v.rival.strategy}, ends {_ahead(v)} ({basis})." if v.rival else ""
            return f"Keep {_at_peak(v, best)} for {subject}: nothing tried is better.{rest}"
        case "equal":
            every = len(v.equal) == len(v.evidence.ranked)
            names = f"Any of the {len(v.equal)} strategies" if every else f"Any of {_few(v.equal, 'or')}"
            rest = f"{v.rival.strategy} ends {_ahead(v)}{_worth(v)} ({basis})" if v.rival else "all are one run"
            return f"{names} will do for {subject}: {rest}. First by its mean: {_at_peak(v, best)}."
        case "nothing learnt":
            baseline = f" ({facts.baseline.name}: {number(facts.baseline.value)})" if facts.baseline else ""
            return (
                f"Nothing can be recommended for {subject}: no strategy is shown to get beyond the trivial "
                f"baseline{baseline}. Train longer, with more seeds, or with other peak LRs."
            )
        case "BatchNorm statistics only":
            again = value(v.rival.recalibrated, signed=True) if v.rival else MISSING
            return (
                f"Undecided for {subject}: {_leading(v)} ({basis}), by BatchNorm statistics only: with recalibrated "
                f"ones the difference is {again}."
            )
        case "edge of the grid":
            return f"Undecided for {subject}: {_leading(v)} ({basis}), but the grid of peak LRs is too narrow to tell."
        case _:
            return f"Undecided for {subject}: {_leading(v)} ({basis}).{_needed(v)}"


def _details(v: TaskVerdict) -> Iterator[str]:
    """Strategies not told apart from the best one, edges of grids, and strategies that diverged."""
    if v.outcome != "equal" and v.same:
        yield f"Not told apart from it: {_few(v.same)}."
    if v.edges:
        peaks_there = listed([f"{s}'s peak LR {v.score(s).pick:g}" for s in v.edges])
        yield f"At an edge of the grid: {peaks_there}. Widen it with --tune."
    if v.diverged:
        yield f"Diverged in some seed: {_few(v.diverged)}."


def _at_peak(v: TaskVerdict, strategy: str) -> str:
    return f"{strategy} at peak LR {peaks(v.score(strategy))}"


def _leading(v: TaskVerdict) -> str:
    """The best strategy, and how it stands beside the reference or, if it is the reference, the next one to it."""
    best = str(v.best)
    if v.rival is None:
        return f"{_at_peak(v, best)} leads"
    if v.best == v.reference:
        return f"{_at_peak(v, best)} leads, and {v.rival.strategy} is {_ahead(v)}"
    return f"{_at_peak(v, best)} leads, {_ahead(v)}"


def _ahead(v: TaskVerdict) -> str:
    """By how much the best strategy beside the reference is ahead of it, or behind."""
    reference, metric = v.reference, v.evidence.facts.metric
    lead = v.rival.lead if v.rival else None
    if lead is None:
        lost = v.score(str(reference)).diverged
        return f"ahead of {reference}, which diverged" if lost else f"beside {reference} by an unknown difference"
    size = resolved_value(lead._replace(mean=abs(lead.mean)))
    return f"{size} {'ahead of' if lead.mean >= 0 else 'behind'} {reference} in {metric}"


def _worth(v: TaskVerdict) -> str:
    """The difference beside the smallest one worth having."""
    margin = v.evidence.comparison.margin(v.evidence.task)
    if margin is None or v.rival is None:
        return ""
    if v.rival.word == "equal":
        return f", less than the {margin:g} worth having"
    return f", more than the {margin:g} worth having" if v.rival.excess(margin) else ""


def _basis(r: Recommendation, v: TaskVerdict) -> str:
    """Interval, seeds, budget and ledgers that a difference rests on."""
    e = v.evidence
    tried = f"95 % interval for the best of {v.tries} tried, " if v.tries > 1 else "95 % interval, "
    near = "" if e.exact(r.epochs) else f" at {quantity(e.epochs, e.facts.unit)}, the nearest recorded,"
    return f"{tried if e.n > 1 else ''}{quantity(e.n, 'seeds')}{near} of {listed(list(map(str, r.sources[e.task])))}"


def _needed(v: TaskVerdict) -> str:
    seeds = v.undecided.seeds if v.undecided and not v.edges else None
    if seeds is None:
        return ""
    return f" About {seeds} seeds would decide." if seeds < MOST else " More seeds would hardly decide it."


def _reason(e: Evidence, doubt: Doubt, epochs: float) -> str:
    """A doubt in words."""
    if doubt == "few seeds":
        return f"{quantity(e.n, 'seeds')}, {SEEDS} or more are needed"
    if doubt == "distant budget":
        return f"the nearest budget, {quantity(e.epochs, e.facts.unit)}, is off by {e.budget_factor(epochs):.3g} times"
    if doubt == "reference not run":
        return f"the reference, {e.comparison.study.reference}, was not run"
    return "only one strategy was run" if doubt == "one strategy" else WHY["wind tunnel"]


def _few(names: Sequence[str], last: str = "and") -> str:
    most = NAMES if len(names) > NAMES + 1 else len(names)
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return listed([*names[:most], *more], last)


# -------------------------------------------------------------------------------------------------- a family


def _family(r: Recommendation, family: FamilyVerdict, pooled: FamilyBest) -> Iterator[str]:
    h, reference = pooled.best, family.comparison.study.reference
    subject = f"the {r.subject} tasks at {quantity(r.epochs, family.evidence[0].facts.unit)}"
    how = _how(family, pooled)
    match pooled.outcome:
        case "take":
            yield f"Take {h.strategy} for {subject}: it ends better than {reference}, {how}."
        case "keep":
            yield f"Keep {reference} for {subject}: nothing tried is better. The next, {h.strategy}, is {how}."
        case "equal":
            yield f"Any will do for {subject}: the best, {h.strategy}, equals {reference}, {how}."
        case "BatchNorm statistics only":
            yield f"Undecided for {subject}: {h.strategy} leads {reference}, {how}, by BatchNorm statistics only."
        case _:
            first = f"{h.strategy} leads {reference}" if h.flip.effect > 0 else f"{h.strategy} is next to {reference}"
            yield f"Undecided for {subject}: {first}, {how}.{_more_seeds(pooled)}"
    if pooled.outcome in ("take", "undecided") and pooled.same:
        yield f"Not told apart from it: {_few(pooled.same)}."
    if h.flip.tasks == 1:
        yield "One task says little of a family."
    yield f"Peak LRs: {_few([_peak(r, e, h.strategy) for e in family.evidence if e.task in h.tasks])}."
    aside = [f"{v.evidence.task} ({_aside(family, v)})" for v in r.verdicts if v.evidence.task not in h.tasks]
    if aside:
        yield f"Not counted: {_few(aside)}."


def _how(family: FamilyVerdict, pooled: FamilyBest) -> str:
    """The effect in margins, the numbers of tasks on both sides, and what they rest on."""
    h = pooled.best
    better, worse, _ = h.signs
    size = ""
    if pooled.effect is not None:
        tries = len(family.hypotheses)
        level = f" (95 % interval for the best of {tries} tried)" if tries > 1 else " (95 % interval)"
        size = f"by {resolved_value(pooled.effect)} times the difference worth having{level}, "
    basis = f"{h.flip.blocks} blocks of task and seed, corrected p = {probability(h.adjusted)}"
    behind = f" and behind in {worse}" if worse else ""
    return f"{size}ahead in {better} of {quantity(h.flip.tasks, 'tasks')}{behind} ({basis})"


def _aside(family: FamilyVerdict, v: TaskVerdict) -> str:
    """Reason for not counting a task, in a few words."""
    grave = [doubt for doubt in v.doubts if doubt != "few seeds"]
    return grave[0] if grave else family.why(v.evidence.task) or ("one seed" if v.evidence.n < 2 else "not run")


def _more_seeds(pooled: FamilyBest) -> str:
    if pooled.seeds is None:
        return ""
    if pooled.seeds * len(pooled.best.tasks) >= MOST:
        return " More seeds would hardly decide it."
    return f" About {pooled.seeds} seeds of each task would decide."


def _peak(r: Recommendation, e: Evidence, strategy: str) -> str:
    budget = "" if e.exact(r.epochs) else f" ({quantity(e.epochs, e.facts.unit)})"
    return f"{peaks(e.comparison.at(e.task, e.budget)[strategy].score)} on {e.task}{budget}"


def _no_family(r: Recommendation) -> Iterator[str]:
    if all("wind tunnel" in v.doubts for v in r.verdicts):
        yield f"No decay is recommended for family {r.subject}: its tasks test theory, and stand for no other task."
        return
    unit = r.verdicts[0].evidence.facts.unit
    yield f"Not enough data on family {r.subject} for {quantity(r.epochs, unit)}: no task can be tested."
    for v in r.verdicts[:NAMES]:
        reasons = [_reason(v.evidence, doubt, r.epochs) for doubt in v.doubts] or ["the grid is too narrow"] * bool(
            v.edges
        )
        if reasons:
            yield f"{v.evidence.task}: {'; '.join(reasons)}."
