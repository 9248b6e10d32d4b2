"""Tables of the page of claims: tests, tasks, sizes of differences, costs, and all that is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.protocol.primary import Hypothesis, Word
from bench.analysis.textbook.claim_tasks import ClaimTask
from bench.analysis.textbook.claims import ClaimPanel
from bench.analysis.textbook.lr_cost import Costs
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, listed, percent, value
from bench.report.sections.reference import omitted, probability

OUTCOMES: dict[Word, str] = {
    "better": "significantly for it",
    "worse": "significantly against it",
    "equal": "equal to constant LR",
    "BatchNorm statistics only": "by running BatchNorm statistics only",
    "undecided": "undecided",
    "too few blocks": "too few blocks to tell",
}
"""Outcome of the test of one decay, in words."""


def tests(title: str, panel: ClaimPanel) -> Table:
    head = ("decay", "tasks", "blocks", "effect", "in margins", "tasks for, against, 0", "p", "p, corrected", "outcome")
    notes = [
        "Effects are above 0 where they speak for the claim. The first, standardised by task to [−1, 1], is what is "
        "tested; in margins, it is the mean over tasks with its stratified 95 % t interval, where all tasks "
        "state a margin. p is two-sided, and 1 where the two readings of BatchNorm differ in sign."
    ]
    if panel.rest:
        notes.append(f"Not tested, as fewer than half of the tasks count for them: {listed(list(panel.rest))}.")
    return Table(title, head, tuple(map(_test, panel.hypotheses)), tuple(notes))


def _test(h: Hypothesis) -> tuple[Item, ...]:
    text = [h.strategy, str(h.flip.tasks), str(h.flip.blocks), f"{h.flip.effect:+.2f}".replace("-", "−")]
    text += [value(h.effect, signed=True), ", ".join(map(str, h.signs)), probability(h.p), probability(h.adjusted)]
    return (*map(Item, text), Item(OUTCOMES[h.word], "prose"))


def tasks(tasks: Sequence[ClaimTask]) -> Table:
    head = ("task", "family", "ledger", "budgets", "metric", "seeds", "decays", "peak LRs each")
    return Table("Tasks, and the ledger each is judged from", head, tuple(map(_entry, tasks)))


def _entry(entry: ClaimTask) -> tuple[Item, ...]:
    facts, score = entry.comparison.study.tasks[entry.task], entry.score(entry.constant)
    budgets = listed([percent(b) for b in entry.test.declared(entry.task)])
    texts = (entry.family, entry.ledger, budgets, f"{facts.metric} ({entry.comparison.direction(entry.task)})")
    counts = (len(score.selected), len(entry.decays()), len(score.peak_lrs))
    return (Item(entry.task), *(Item(text, "prose") for text in texts), *(Item(str(n)) for n in counts))


def sizes(tasks: Sequence[ClaimTask]) -> Table:
    """By how much each decay ended better than constant LR, in each task; all that counts."""
    texts = {(e.task, decay): _size(e, decay) for e in tasks for decay in e.decays()}
    sound = {key: text for key, text in texts.items() if text}
    decays = list(dict.fromkeys(decay for _, decay in sound))
    rows = tuple(
        (Item(task), *(Item(sound.get((task, decay), MISSING)) for decay in decays))
        for task in dict.fromkeys(task for task, _ in sound)
    )
    note = (
        "In the task's metric, above 0 where the decay is better, paired by seed, at the largest declared budget, with "
        "95 % t intervals that no number of comparisons widens; with BatchNorm by running statistics, then by "
        "recalibrated ones. – where it was not run or is left out."
    )
    return Table("How much better than constant LR each decay ended", ("task", *decays), rows, (note,))


def _size(entry: ClaimTask, strategy: str) -> str:
    if not entry.counts(strategy):
        return ""
    score, constant, direction = (
        entry.score(strategy),
        entry.score(entry.constant),
        entry.comparison.direction(entry.task),
    )
    texts = [value(constant.behind(score, direction), signed=True)]
    if any(t.recalibrated is not None for t in score.selected):
        texts.append(value(constant.behind(score, direction, "recalibrated"), signed=True))
    return "; ".join(texts)


def omissions(tasks: Sequence[ClaimTask]) -> Iterator[str]:
    """All that the tests leave out of these tasks."""
    for entry in tasks:
        decays = {None, *entry.decays()}
        yield from omitted(o for o in entry.test.omissions if o.task == entry.task and o.strategy in decays)


def costs(costs: Costs) -> Table:
    """Time of one decision in microseconds, and its share of each task's update."""
    share = {(task, schedule): share for task, schedule, share in costs.shares()}
    rows = []
    for schedule, cost in costs.decisions.items():
        shares = (f"{100 * share[task, schedule]:.2g} %" for task in costs.updates)
        rows.append((Item(schedule), Item(f"{cost:.3g}"), *map(Item, shares)))
    head = ("schedule", "microseconds", *(f"{task} ({update:,.0f})" for task, update in costs.updates.items()))
    note = "Process CPU time on one thread; in brackets an update of one member, trained alone, in microseconds."
    return Table("Deciding the LR of one update, and its share of an update", head, tuple(rows), (note,))
