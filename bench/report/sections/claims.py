"""The page of the textbook's claims with their verdicts, `results/claims.md`; `bench.analysis.claims` judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from bench.analysis import claims, results
from bench.analysis.claim_tasks import FAMILIES, ClaimTask, entries
from bench.analysis.claims import ClaimPanel, Measure, Pairs, Word
from bench.analysis.comparison import Comparison
from bench.analysis.lr_cost import Costs
from bench.analysis.primary import ALPHA
from bench.contract import InputError
from bench.ledger import atomic, ledger
from bench.report import markup
from bench.report.markup import Item, Mark, Section, Table
from bench.report.numbers import listed, percent, value
from bench.report.sections.diagnostics import factor
from bench.report.sections.reference import probability

LOOK: dict[Word, Mark] = {"holds": "first"}

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
    """The verdict on a claim."""

    claim: str
    place: str
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
    ledgers = {
        name: Comparison(results.Study.of(ledger.read(directory, [], results.KINDS)))
        for name, directory in zip(names, directories, strict=True)
    }
    text = markup.markdown(document(ledgers, Costs.read(costs) if costs else None))

    def encode(file: IO[bytes]) -> None:
        file.write(text.encode())

    atomic.write(out, encode)


def document(ledgers: Mapping[str, Comparison], costs: Costs | None) -> list[Section]:
    """The page."""
    tasks = entries(ledgers)
    compared = dict(_compared(tasks))
    rows = [_verdict(claim, place, *panel_tasks) for (claim, place), panel_tasks in compared.items()]
    rows += _shares(tasks, ledgers, costs)
    tables = [_tests(key, panel) for key, (panel, _) in compared.items() if panel.flips]
    return [
        Section("What the textbook claims of learning-rate decay", (_verdicts(rows), *RULES)),
        Section("The tests", tuple(tables)),
        Section("The tasks", (_tasks(tasks),)),
        *([Section("What deciding the LR costs", (_costs(costs),))] if costs else []),
    ]


def _verdicts(rows: Sequence[VerdictRow]) -> Table:
    body = tuple(
        (
            Item(row.claim),
            Item(row.place, "prose"),
            Item(row.word, LOOK.get(row.word, "")),
            Item(row.evidence, "prose"),
            Item(row.n),
        )
        for row in rows
    )
    return Table("The claims, and the evidence in the ledgers", ("claim", "where", "verdict", "evidence", "n"), body)


# --------------------------------------------------------------------------- decays against constant LR

GENERAL: dict[str, Measure] = {
    "Decay avoids overfitting": claims.overfitting,
    "Decay keeps gradients from vanishing": claims.gradients,
}


def _compared(tasks: Sequence[ClaimTask]) -> Iterator[tuple[tuple[str, str], tuple[ClaimPanel, list[ClaimTask]]]]:
    """(claim, family): the panel of decays against constant LR, and its tasks."""
    for family in FAMILIES:
        members = [e for e in tasks if e.family == family]
        panel = claims.panel(members, claims.quality)
        yield ("Higher quality for the same epochs, with decay", family), (panel, members)
    for claim, measure in GENERAL.items():
        yield (claim, "all families"), (claims.panel(tasks, measure), list(tasks))


def _verdict(claim: str, place: str, panel: ClaimPanel, tasks: Sequence[ClaimTask]) -> VerdictRow:
    if not panel.flips:
        return VerdictRow(claim, place, panel.word, "nothing recorded that bears on it", "0 tasks")
    up, down = listed(panel.significant(1)) or "none", listed(panel.significant(-1)) or "none"
    evidence = f"of {len(panel.flips)} decays, significantly for it: {up}; against: {down}"
    evidence += "; so few blocks could not have shown it" * panel.blind
    examples = [example for e in tasks if e.task in panel.tasks and (example := _example(claim, e))]
    n = f"{len(panel.tasks)} task{'s' * (len(panel.tasks) != 1)}, {panel.blocks} blocks"
    return VerdictRow(claim, place, panel.word, ". ".join([evidence, *examples]) + ".", n)


def _example(claim: str, entry: ClaimTask) -> str:
    """Values of constant LR on a task, and of the decay that ranks first."""
    decays = entry.decays().values()
    first = next((s for s in entry.comparison.standing(entry.task) if s in decays), None)
    if first is None:
        return ""
    constant, best = (entry.diagnostics.of(entry.task, entry.budget)[s] for s in (entry.constant, first))
    if claim == "Decay avoids overfitting":
        return f"{entry.task}: gap {value(constant.gap)}, with {first} {value(best.gap)}"
    if claim == "Decay keeps gradients from vanishing":
        return f"{entry.task}: norms {factor(constant.decline)}, with {first} {factor(best.decline)}"
    lead = entry.score(entry.constant).behind(entry.score(first), entry.comparison.direction(entry.task))
    return f"{entry.task}: {first} ranks first of the decays, {value(lead, signed=True)} over constant"


def _tests(key: tuple[str, str], panel: ClaimPanel) -> Table:
    rows = tuple(_test(s, panel) for s in sorted(panel.flips, key=lambda s: (panel.flips[s].p, s)))
    note = "Effects, in [−1, 1], are above 0 where they speak for the claim; p is two-sided."
    return Table(": ".join(key), ("decay", "tasks", "blocks", "effect", "p", "p, Holm"), rows, (note,))


def _test(decay: str, panel: ClaimPanel) -> tuple[Item, ...]:
    flip = panel.flips[decay]
    text = [decay, str(flip.tasks), str(flip.blocks), f"{flip.effect:+.2f}".replace("-", "−")]
    return tuple(map(Item, [*text, probability(flip.p), probability(panel.adjusted[decay])]))


# ------------------------------------------------------------------------------------- shares of pairs


def _shares(tasks: Sequence[ClaimTask], ledgers: Mapping[str, Comparison], costs: Costs | None) -> Iterator[VerdictRow]:
    """Verdicts on the claims about how often."""
    tuning, untuned = claims.tuning(tasks), claims.untuned(ledgers.values())
    evidence = f"some peak LR of the grid ends clearly worse than the best one in {_of(tuning)}"
    if untuned.pairs:
        evidence += f"; optimizers without a tuned LR end clearly worse than the best tuned decay in {_of(untuned)}"
    yield _row("Decay needs hyperparameters set by hand", tuning, evidence)
    regret, edge = claims.missing(tasks)
    evidence = (
        f"the peak LR chosen on control ends clearly worse on test than the best in hindsight in {_of(regret)}; most "
        f"seeds choose one at an edge of the grid, so that the best may lie outside, in {_of(edge)}"
    )
    yield _row("Decay may miss the best rate", regret, evidence)
    if costs is None:
        yield VerdictRow("Decay costs compute", "all families", "not tested", "no costs were given", "0 pairs")
        return
    costly = claims.costly(costs)
    task, schedule, share = max(costs.shares(), key=lambda row: row[2])
    evidence = (
        f"deciding the LR takes {percent(claims.COST)} of an update or more in {_of(costly)}; at most "
        f"{100 * share:.2g} %, of {schedule} on {task}"
    )
    yield _row("Decay costs compute", costly, evidence)


def _of(pairs: Pairs) -> str:
    return f"{pairs.hits} of {pairs.pairs} pairs"


def _row(claim: str, pairs: Pairs, evidence: str) -> VerdictRow:
    return VerdictRow(claim, "all families", pairs.word, evidence + ".", f"{pairs.tasks} tasks, {pairs.pairs} pairs")


# -------------------------------------------------------------------------------------------- sources


def _tasks(tasks: Sequence[ClaimTask]) -> Table:
    head = ("task", "family", "ledger", "metric", "seeds", "decays", "peak LRs each")
    return Table("Tasks, and the ledger each is judged from", head, tuple(map(_entry, tasks)))


def _entry(entry: ClaimTask) -> tuple[Item, ...]:
    facts, score = entry.comparison.study.tasks[entry.task], entry.score(entry.constant)
    texts = (entry.family, entry.ledger, f"{facts.metric} ({entry.comparison.direction(entry.task)})")
    counts = (len(score.selected), len(entry.decays()), len(score.peak_lrs))
    return (Item(entry.task), *(Item(text, "prose") for text in texts), *(Item(str(n)) for n in counts))


def _costs(costs: Costs) -> Table:
    """Time of one decision in microseconds, and its share of each task's update."""
    share = {(task, schedule): share for task, schedule, share in costs.shares()}
    rows = []
    for schedule, cost in costs.decisions.items():
        shares = (f"{100 * share[task, schedule]:.2g} %" for task in costs.updates)
        rows.append((Item(schedule), Item(f"{cost:.3g}"), *map(Item, shares)))
    head = ("schedule", "microseconds", *(f"{task} ({update:,.0f})" for task, update in costs.updates.items()))
    note = "Process CPU time on one thread; in brackets an update of one member, trained alone, in microseconds."
    return Table("Deciding the LR of one update, and its share of an update", head, tuple(rows), (note,))
