"""Advice for each task at each budget, as a table; `bench.analysis.protocol.answer` finds it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.analysis.protocol.answer import Advice, Answer
from bench.analysis.results import SEPARATOR
from bench.report.markup import Item, Mark, Table
from bench.report.numbers import MISSING, listed, percent

LEGEND = (
    "Blue: better than {reference}; orange: worse; no colour: not decided. Undecided (15 seeds): about so many would "
    "decide. ≈: within noise of the first. A margin is the smallest difference worth having, which each task states."
)

ROOMY = 2
"""Most budgets with which a table names the strategies that are within noise of the first."""


def advice(answer: Answer) -> Table:
    """For each task and budget: the strategy that ended first, its peak LR, and how sure it is."""
    by_place = {(a.task, a.budget): a for a in answer.advice}
    rows = tuple(
        (Item(task), *(_advice(answer, by_place.get((task, b))) for b in answer.budgets))
        for task in answer.comparison.study.tasks
    )
    head = ("task", *map(percent, answer.budgets))
    return Table("What to take in each task, at each budget, and how sure that is", head, rows)


def _advice(answer: Answer, a: Advice | None) -> Item:
    if a is None:
        return Item(f"{MISSING}\nnot run", "prose")
    if not a.learnt:
        return Item("not shown to learn\nbeyond the trivial baseline", "prose")
    lr = "" if a.peak_lr is None else f", LR {a.peak_lr:g}"
    sure, mark = _how_sure(answer, a)
    return Item(f"{a.strategy}{lr}\n{sure}{_near(answer, a.tied)}", mark)


def _near(answer: Answer, tied: Sequence[str]) -> str:
    """Strategies that are not told apart from the first one: by name where there is room."""
    if not tied:
        return ""
    return f", ≈ {listed(list(tied))}" if len(tied) <= 2 and len(answer.budgets) <= ROOMY else f", ≈ {len(tied)}"


def _how_sure(answer: Answer, a: Advice) -> tuple[str, Mark]:
    """Certainty that the first one is better than the reference."""
    standing = a.standing
    if answer.comparison.reference(a.task) == a.strategy:
        return "nothing better", "prose"
    if standing is None:
        return "no reference", "prose"
    match standing.word:
        case "better":
            return "better", "better"
        case "worse":
            return "worse", "worse"
        case "undecided":
            return f"undecided ({standing.seeds:,} seeds)" if standing.seeds else "undecided", "prose"
        case "edge of the grid":
            return "LR at an edge of the grid", "prose"
        case "not judged":
            return "one seed, not judged" if standing.lead and standing.lead.n == 1 else "not judged", "prose"
        case "identical run":
            return f"the same run as {answer.comparison.reference(a.task)}", "prose"
        case word:
            return str(word), "prose"


BUDGETS = 4
"""Most budgets that a terminal shows."""

TASKS = 6
"""Most tasks that a terminal shows; one more, where a line would say so."""

NAME = 24
"""Characters that a terminal keeps for the name of a task."""

SIGN = {"better": "+", "worse": "−", "equal": "=", "undecided": "?"}
"""Verdicts on a terminal."""


def signs(answer: Answer) -> str:
    """Meaning of the signs in `brief`."""
    return f"+ better than {answer.comparison.study.reference}, = equal, ? undecided, ! see the page."


def brief(answer: Answer, width: int) -> Table:
    """The advice for a terminal of so many characters a line, at the largest budgets if there are many.

    Of tasks the first `TASKS`, the wind tunnel's apart.
    """
    by_place, study = {(a.task, a.budget): a for a in answer.advice}, answer.comparison.study
    every = [task for task, facts in study.tasks.items() if facts.family != "tunnel"] or list(study.tasks)
    tasks = every if len(every) <= TASKS + 1 else every[:TASKS]
    known = [b for b in answer.budgets if any((task, b) in by_place for task in tasks)]
    for count in range(max(1, min(BUDGETS, len(known))), 0, -1):  # one at least, however wide
        budgets = known[-count:]
        fields = [[_brief(answer, by_place.get((task, b))) for b in budgets] for task in tasks]
        widths = (max(len(item.text) for item in column) + 2 for column in zip(*fields, strict=True))
        if sum(widths) + NAME <= width:
            break
    rows = [(Item(task), *line) for task, line in zip(tasks, fields, strict=True)]
    if more := len(every) - len(tasks):
        rows.append((Item(f"{more} more on the page"), *[Item("")] * len(budgets)))
    return Table("", ("task", *map(percent, budgets)), tuple(rows))


WARMUP = "warmup("


def _label(strategy: str, warmed: bool) -> str:
    """Name without arguments, and without a warmup that all strategies have.

    >>> _label("warmup(wsd(cooldown=0.4), epochs=1) with schedulefree_adamw(beta2=0.9), ema(decay=0.9)", True)
    'wsd schedulefree_adamw, ema'
    """
    schedule, _, rest = strategy.partition(SEPARATOR)
    name = re.split(r"[(\[,]", schedule.removeprefix(WARMUP) if warmed else schedule)[0]
    return " ".join(filter(None, (name, re.sub(r"\([^()]*\)", "", rest))))


def _brief(answer: Answer, a: Advice | None) -> Item:
    if a is None or not a.learnt:
        return Item(MISSING if a is None else "not shown to learn")
    name = _label(a.strategy, all(s.startswith(WARMUP) for s in answer.comparison.study.strategies))
    lr = "" if a.peak_lr is None else f" {a.peak_lr:g}"
    if answer.comparison.reference(a.task) == a.strategy:
        return Item(f"{name}{lr}")
    word = a.standing.word if a.standing else ""
    return Item(f"{name}{lr} {SIGN.get(word, '!')}", "better" if word == "better" else "")
