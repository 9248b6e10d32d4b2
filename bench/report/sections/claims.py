"""The textbook's claims with their verdicts, as a page: `results/claims.md`. What is judged, `claims` computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from bench.analysis import claims, results
from bench.analysis.claim_tasks import FAMILIES, ClaimTask, entries
from bench.analysis.claims import ClaimPanel, Measure, Pairs, Word
from bench.analysis.comparison import Comparison
from bench.analysis.lr_cost import Costs
from bench.analysis.reference import ALPHA
from bench.contract import InputError
from bench.ledger import atomic, ledger
from bench.report import markup
from bench.report.markup import Item, Mark, Section, Table
from bench.report.numbers import listed, percent, value
from bench.report.sections.diagnostics import factor
from bench.report.sections.reference import probability

LOOK: dict[Word, Mark] = {"holds": "best", "not clear": "noise", "not tested": "noise", "does not hold": "bad"}

RULES = (
    "Claims about what a decay does, against constant LR: in each task the differences from constant LR at the largest "
    "budget, with equal tries of the peak LR and paired by seed, are tested by sign flips over task and seed, with "
    "Holm's correction over the decays that at least half of the tasks ran; significant is a corrected p of at most "
    f"{ALPHA:g}. Holds: at least half of the decays are significantly for it and none against. Holds in part: fewer, "
    "and none against. Mixed: some for, some against. Does not hold: some against, none for. Not clear: none either "
    "way. Not tested: no task with two seeds.",
    "Claims about how often: of all pairs of a task and a decay, it holds where it is seen in at least "
    f"{percent(claims.MOST)} of them, holds in part from {percent(claims.SOME)} on, and does not hold below that. One "
    "pair in twenty or more is seen by chance.",
    "Each task is judged from the one ledger that has most seeds of it. The wind tunnel's tasks, which are no "
    "networks, take no part. A family is as wide as its tasks, which are listed below: text is what the textbook says "
    "of GLUE. These rules stood in the code before its first page was made.",
)


class VerdictRow(NamedTuple):
    """A claim, judged."""

    says: str
    where: str
    word: Word
    evidence: str
    n: str


def write(directories: Sequence[Path], out: Path, costs: Path | None = None) -> None:
    """Judge the claims on the ledgers of some runs, and write the page. The same ledgers give the same bytes.

    Raises:
        InputError: a directory without a ledger, or two of one name; costs that can't be read.
    """
    names = [directory.resolve().name for directory in directories]
    if len(set(names)) < len(names):
        raise InputError(f"directories of ledgers should differ in name, not {', '.join(names)}")
    found = {
        name: Comparison(results.Study.of(ledger.read(directory, [], results.KINDS)))
        for name, directory in zip(names, directories, strict=True)
    }
    text = markup.markdown(document(found, Costs.read(costs) if costs else None))

    def put(file: IO[bytes]) -> None:
        file.write(text.encode())

    atomic.write(out, put)


def document(ledgers: Mapping[str, Comparison], costs: Costs | None) -> list[Section]:
    """The page."""
    tasks = entries(ledgers)
    tested = dict(_tested(tasks))
    rows = [_compared(says, where, *it) for (says, where), it in tested.items()]
    rows += _counted(tasks, ledgers, costs)
    return [
        Section("What the textbook claims of learning-rate decay", (_verdicts(rows), *RULES)),
        Section("The tests", tuple(t for key, (it, _) in tested.items() if (t := _tests(key, it)))),
        Section("The tasks", (_tasks(tasks),)),
        *([Section("What deciding the LR costs", (_costs(costs),))] if costs else []),
    ]


def _verdicts(rows: Sequence[VerdictRow]) -> Table:
    body = tuple(
        (Item(r.says), Item(r.where, "prose"), Item(r.word, LOOK.get(r.word, "")), Item(r.evidence, "prose"), Item(r.n))
        for r in rows
    )
    return Table("The claims, and what the ledgers say of them", ("claim", "where", "verdict", "evidence", "n"), body)


# --------------------------------------------------------------------------- decays against constant LR

GENERAL: dict[str, Measure] = {
    "Decay avoids overfitting": claims.overfitting,
    "Decay keeps gradients from vanishing": claims.gradients,
}


def _tested(tasks: Sequence[ClaimTask]) -> Iterator[tuple[tuple[str, str], tuple[ClaimPanel, list[ClaimTask]]]]:
    for family in FAMILIES:
        here = [e for e in tasks if e.family == family]
        yield ("Higher quality for the same epochs, with decay", family), (claims.panel(here, claims.quality), here)
    for says, measure in GENERAL.items():
        yield (says, "all families"), (claims.panel(tasks, measure), list(tasks))


def _compared(says: str, where: str, it: ClaimPanel, tasks: Sequence[ClaimTask]) -> VerdictRow:
    if not it.flips:
        return VerdictRow(says, where, it.word, "nothing recorded that tells of it", "0 tasks")
    up, down = it.significant(1), it.significant(-1)
    evidence = (
        f"of {len(it.flips)} decays, significantly for it: {listed(up) or 'none'}; against: {listed(down) or 'none'}"
    )
    evidence += "; so few blocks could not have told" * it.blind
    more = [text for e in tasks if e.task in it.tasks and (text := _seen(says, e))]
    n = f"{len(it.tasks)} task{'s' * (len(it.tasks) != 1)}, {it.blocks} blocks"
    return VerdictRow(says, where, it.word, ". ".join([evidence, *more]) + ".", n)


def _seen(says: str, entry: ClaimTask) -> str:
    """What a task shows of constant LR, and of the decay that ranks first."""
    decays = entry.decays().values()
    first = next((s for s in entry.comparison.standing(entry.task) if s in decays), None)
    if first is None:
        return ""
    constant, best = (entry.diagnostics.of(entry.task, entry.budget)[s] for s in (entry.constant, first))
    if says == "Decay avoids overfitting":
        return f"{entry.task}: gap {value(constant.gap)}, with {first} {value(best.gap)}"
    if says == "Decay keeps gradients from vanishing":
        return f"{entry.task}: norms {factor(constant.decline)}, with {first} {factor(best.decline)}"
    lead = entry.score(entry.constant).behind(entry.score(first), entry.comparison.direction(entry.task))
    return f"{entry.task}: {first} ranks first of the decays, {value(lead, signed=True)} over constant"


def _tests(key: tuple[str, str], it: ClaimPanel) -> Table | None:
    rows = tuple(_test(s, it) for s in sorted(it.flips, key=lambda s: (it.flips[s].p, s)))
    if not rows:
        return None
    note = "Effects, in [−1, 1], are above 0 where they speak for the claim; p is two-sided."
    return Table(": ".join(key), ("decay", "tasks", "blocks", "effect", "p", "p, Holm"), rows, (note,))


def _test(decay: str, it: ClaimPanel) -> tuple[Item, ...]:
    flip = it.flips[decay]
    text = [decay, str(flip.tasks), str(flip.blocks), f"{flip.effect:+.2f}".replace("-", "−")]
    return tuple(map(Item, [*text, probability(flip.p), probability(it.adjusted[decay])]))


# ------------------------------------------------------------------------------------- shares of pairs


def _counted(
    tasks: Sequence[ClaimTask], ledgers: Mapping[str, Comparison], costs: Costs | None
) -> Iterator[VerdictRow]:
    tuning, untuned = claims.tuning(tasks), claims.untuned(ledgers.values())
    free = f"; optimizers without a tuned LR end clearly worse than the best tuned decay in {_of(untuned)}"
    says = f"some peak LR of the grid ends clearly worse than the best one in {_of(tuning)}"
    yield _row("Decay needs hyperparameters set by hand", tuning, says + free * bool(untuned.pairs))
    regret, edge = claims.missing(tasks)
    says = (
        f"the peak LR chosen on control ends clearly worse on test than the best in hindsight in {_of(regret)}; most "
    )
    says += f"seeds choose one at an edge of the grid, so that the best may lie outside, in {_of(edge)}"
    yield _row("Decay may miss the best rate", regret, says)
    if costs is None:
        yield VerdictRow("Decay costs compute", "all families", "not tested", "no costs were given", "0 pairs")
        return
    costly, most = claims.costly(costs), max(costs.shares(), key=lambda it: it[2])
    says = f"deciding the LR takes {percent(claims.COST)} of an update or more in {_of(costly)}; at most "
    says += f"{100 * most[2]:.2g} %, of {most[1]} on {most[0]}"
    yield _row("Decay costs compute", costly, says)


def _of(it: Pairs) -> str:
    return f"{it.seen} of {it.pairs} pairs"


def _row(says: str, it: Pairs, evidence: str) -> VerdictRow:
    return VerdictRow(says, "all families", it.word, evidence + ".", f"{it.tasks} tasks, {it.pairs} pairs")


# -------------------------------------------------------------------------------------------- sources


def _tasks(tasks: Sequence[ClaimTask]) -> Table:
    head = ("task", "family", "ledger", "metric", "seeds", "decays", "peak LRs each")
    return Table("Tasks, and the ledger each is judged from", head, tuple(map(_entry, tasks)))


def _entry(it: ClaimTask) -> tuple[Item, ...]:
    metric, score = (
        f"{it.comparison.study.tasks[it.task].metric} ({it.comparison.direction(it.task)})",
        it.score(it.constant),
    )
    counts = len(score.selected), len(it.decays()), len(score.peak_lrs)
    words = (Item(text, "prose") for text in (it.family, it.ledger, metric))
    return (Item(it.task), *words, *(Item(str(n)) for n in counts))


def _costs(costs: Costs) -> Table:
    """A decision's microseconds, and its share of each task's update."""
    share = {(task, schedule): share for task, schedule, share in costs.shares()}
    rows = tuple(
        (Item(s), Item(f"{cost:.3g}"), *(Item(f"{100 * share[task, s]:.2g} %") for task in costs.updates))
        for s, cost in costs.decisions.items()
    )
    head = ("schedule", "microseconds", *(f"{task} ({update:,.0f})" for task, update in costs.updates.items()))
    note = "Process CPU time on one thread; in brackets an update of one member, trained alone, in microseconds."
    return Table("Deciding the LR of one update, and its share of an update", head, rows, (note,))
