"""What was tested against the reference, in tables and sentences; with `reference` and `ranking`, which compute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bench.analysis import reference
from bench.analysis.comparison import Comparison
from bench.analysis.ranking import LOW, STRATEGIES, TASKS, RankPanel
from bench.analysis.reference import ALPHA, ReferenceTest
from bench.analysis.stats.equivalent_budget import Worth
from bench.analysis.stats.tests import DRAWS
from bench.report.markup import Item, Mark, Table
from bench.report.numbers import MISSING, number, percent, value

UNDECLARED = "by default: the plan's row was written before references were declared in it"
OTHERS = "our choice, made after these runs: other people declare none"


# ------------------------------------------------------------------------------------------ the primary test


def primary(it: Comparison, tests: Sequence[ReferenceTest]) -> Table:
    """The primary test of every strategy against the reference."""
    rows = tuple(_primary(test, len(tests)) for test in tests)
    head = ("strategy", "tasks", "blocks", "effect", "tasks better, worse, equal", "blocks better", "p", "p, Holm")
    drawn = "" if all(test.flip.exact for test in tests) else f" Beyond 32 blocks, of {DRAWS:,} drawn patterns."
    notes = (
        "Effect: mean over tasks of the mean difference over its root mean square, in [−1, 1]; above 0 is better. "
        "“Blocks better” is the share of blocks with a better final value, ties counted half, with its Clopper-Pearson "
        "interval; no test.",
        "p is two-sided, the share of all patterns of signs of the blocks with an effect at least as large." + drawn,
    )
    return Table(
        f"Every strategy against {it.study.reference}, at the largest budgets", (*head, "verdict"), rows, notes
    )


def _primary(test: ReferenceTest, family: int) -> tuple[Item, ...]:
    flip, share = test.flip, test.improvement
    blocks = f"{100 * share.share:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f} %)"
    text = [str(flip.tasks), str(flip.blocks), f"{flip.effect:+.2f}".replace("-", "−")]
    text += [", ".join(map(str, test.tasks)), blocks, probability(flip.p), probability(test.adjusted)]
    word, mark = verdict(test, family)
    return (Item(test.strategy), *map(Item, text), Item(word, mark))


def verdict(test: ReferenceTest, family: int) -> tuple[str, Mark]:
    """What is said of a strategy that was tested in a family of so many."""
    if test.significant:
        return ("significantly better", "best") if test.flip.effect > 0 else ("significantly worse", "bad")
    return "too few blocks to tell" if test.flip.floor * family > ALPHA else "not significant", "noise"


def probability(p: float) -> str:
    """A p value, of three decimals or two digits."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}".replace("e-0", "e−").replace("e-", "e−")


def conclusion(it: Comparison, tests: Sequence[ReferenceTest]) -> str:
    """The primary test in one paragraph."""
    undeclared = OTHERS if it.study.published else UNDECLARED
    against = f"{it.study.reference}, {'declared before the run' if it.study.declared else undeclared}"
    if not tests:
        return (
            f"Nothing is tested: no task has two seeds or more of both the reference ({against}) and another strategy "
            "at its largest budget."
        )
    better, worse = ([t.strategy for t in tests if t.significant and (t.flip.effect > 0) == up] for up in (True, False))
    found = [f"{word} than it: {', '.join(names)}" for word, names in (("better", better), ("worse", worse)) if names]
    return (
        f"The primary test holds every strategy against one reference ({against}): a stratified sign-flip permutation "
        "test over independent blocks, one a task and seed, at each task's largest budget, with Holm's correction over "
        f"the {len(tests)} strategies, at {percent(ALPHA)}. Significantly "
        + ("; significantly ".join(found) if found else "different from it: none")
        + ". No other difference between two strategies is called significant in this report."
    )


def limits(it: Comparison, task: str) -> Iterator[str]:
    """What so many seeds can see in a task's table at its largest budget."""
    budget = it.study.budgets(task)[-1]
    seen, n = (
        reference.visible(it, task, budget),
        max((len(v.score.selected) for v in it.full(task).values()), default=0),
    )
    if n > 1 and seen is None:
        yield "All strategies of this table are one run, so there is no difference to see."
    elif seen is not None:
        floor = 2.0 ** (1 - n)
        alone = f"; a sign-flip test within this task alone could not go below p = {floor:g}" if floor > ALPHA else ""
        yield (
            f"With {n} seeds, a true difference of {number(seen)} between two typical strategies at {percent(budget)} "
            "would be called clear in 80 % of repetitions, a smaller one less often; pairs whose seeds agree more "
            f"closely are told apart at less{alone}."
        )


def over(it: Comparison, task: str, strategy: str) -> str:
    """By how much a strategy is better than the reference at the largest budget, paired by seed."""
    against, full = it.reference(task), it.full(task)
    if against is None or against == strategy or against not in full:
        return MISSING
    return value(full[against].score.behind(full[strategy].score, it.direction(task)), signed=True)


# --------------------------------------------------------------------------------------------- budget worth


def worth(it: Comparison, task: str) -> Table | None:
    """At which share of its budget the reference ends as well as each strategy at each budget."""
    found, budgets, against = reference.worths(it, task), it.study.budgets(task), it.reference(task)
    names = [s for s in it.standing(task) if any((s, b) in found for b in budgets)]
    if not names or len(budgets) < 2:
        return None
    rows = tuple((Item(s), *(Item(_worth(found.get((s, b)), budgets)) for b in budgets)) for s in names)
    note = (
        f"61 % under 25 % says: with 25 % of the full budget it ends as well as {against} with 61 %. {against}'s curve "
        "is linear in the logarithm of the budget between those tried. The interval holds every budget at which the "
        "two, paired by seed, are within noise of each other."
    )
    title = f"{task}: worth in budget of {against}, with its 95 % interval"
    return Table(title, ("strategy", *map(percent, budgets)), rows, (note,))


def _worth(it: Worth | None, budgets: Sequence[float]) -> str:
    if it is None:
        return MISSING
    text = _share(it.share, budgets)
    if it.low is None or it.high is None or (it.low, it.high) == (it.share, it.share):
        return text
    return f"{text} ({_share(it.low, budgets)} to {_share(it.high, budgets)})"


def _share(share: float, budgets: Sequence[float]) -> str:
    if math.isinf(share):
        return f"> {percent(budgets[-1])}"
    return f"{100 * share:.3g} %" if share else f"< {percent(budgets[0])}"


# ---------------------------------------------------------------------------------------------------- ranks


def places(panel: RankPanel) -> Table:
    """How often each strategy came first, or among the first three, at low and high budgets."""
    order = sorted(range(len(panel.strategies)), key=lambda i: (-panel.high[i].first, -panel.high[i].three, i))
    rows = [
        (Item(panel.strategies[i]), *(Item(f"{n} / {side[i].columns}") for side in sides for n in side[i][:2]))
        for sides in [[side for side in (panel.low, panel.high) if side[0].columns]]
        for i in order
    ]
    names = [f"budget {sign} {percent(LOW)}" for sign, side in (("<", panel.low), ("≥", panel.high)) if side[0].columns]
    head = (f"{place}, {name}" for name in names for place in ("first", "first three"))
    title = f"How often {len(panel.strategies)} strategies came first, in columns of task and budget"
    note = "Descriptive: budgets of one task share their runs' beginnings. Strategies that share a place all hold it."
    return Table(title, ("strategy", *head), tuple(rows), (note,))


def friedman(panel: RankPanel) -> str:
    """Friedman's test of a panel in a sentence, or why there is none."""
    k, t = len(panel.strategies), len(panel.full)
    if panel.test is None:
        return (
            f"No Friedman test of these {k} strategies: it asks for at least {TASKS} tasks and {STRATEGIES} "
            f"strategies, and {t} task{'s have' if t != 1 else ' has'} a rank for each at the largest budget."
        )
    it = panel.test
    outcome = "some strategies rank differently" if it.p <= ALPHA else "no difference in ranks is shown"
    return (
        f"Friedman's test asks whether ranks differ at all, not which: over {t} tasks at the largest budgets {outcome} "
        f"(Iman and Davenport's form, F = {it.statistic:.3g}, p = {probability(it.p)}). By Nemenyi's criterion two "
        f"mean ranks less than {it.distance:.2f} apart are not told apart. Tasks that share data are not independent, "
        "which this takes for granted."
    )
