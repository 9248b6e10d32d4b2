"""Tests against the reference and tests of ranks, in tables and sentences; `bench.analysis` computes them."""

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
OTHERS = "our choice, made after these runs, for published runs declare none"


# ------------------------------------------------------------------------------------------ the primary test


def primary(comparison: Comparison, tests: Sequence[ReferenceTest]) -> Table:
    """The primary test of every strategy against the reference."""
    rows = tuple(_primary(test, len(tests)) for test in tests)
    head = ("strategy", "tasks", "blocks", "effect", "tasks better, worse, equal", "blocks better", "p", "p, Holm")
    sampled = "" if all(test.flip.exact for test in tests) else f" Beyond 32 blocks, of {DRAWS:,} drawn patterns."
    notes = (
        "Effect: mean over tasks of the mean difference over its root mean square, in [−1, 1]; above 0 is better. "
        "“Blocks better” is the share of blocks with a better final value, ties counted half, with its Clopper-Pearson "
        "interval; no test.",
        "p is two-sided, the share of all patterns of signs of the blocks with an effect at least as large." + sampled,
    )
    return Table(
        f"Every strategy against {comparison.study.reference}, at the largest budgets", (*head, "verdict"), rows, notes
    )


def _primary(test: ReferenceTest, family: int) -> tuple[Item, ...]:
    flip, share = test.flip, test.improvement
    blocks = f"{100 * share.share:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f} %)"
    text = [str(flip.tasks), str(flip.blocks), f"{flip.effect:+.2f}".replace("-", "−")]
    text += [", ".join(map(str, test.tasks)), blocks, probability(flip.p), probability(test.adjusted)]
    word, mark = verdict(test, family)
    return (Item(test.strategy), *map(Item, text), Item(word, mark))


def verdict(test: ReferenceTest, family: int) -> tuple[str, Mark]:
    """Verdict on a strategy that was tested in a family of so many tests."""
    if test.significant:
        return ("significantly better", "best") if test.flip.effect > 0 else ("significantly worse", "bad")
    return "too few blocks to tell" if test.flip.floor * family > ALPHA else "not significant", "noise"


def probability(p: float) -> str:
    """A p value with three decimals, or with two digits if it is below 0.001."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}".replace("e-0", "e−").replace("e-", "e−")


def conclusion(comparison: Comparison, tests: Sequence[ReferenceTest]) -> str:
    """The primary test in one paragraph."""
    study = comparison.study
    undeclared = OTHERS if study.published else UNDECLARED
    against = f"{study.reference}, {'declared before the run' if study.declared else undeclared}"
    if not tests:
        return (
            f"Nothing is tested: no task has two seeds or more of both the reference ({against}) and another strategy "
            "at its largest budget."
        )
    significant = [t for t in tests if t.significant]
    sides = {
        "better": [t.strategy for t in significant if t.flip.effect > 0],
        "worse": [t.strategy for t in significant if t.flip.effect <= 0],
    }
    phrases = [f"{word} than it: {', '.join(names)}" for word, names in sides.items() if names]
    return (
        f"The primary test compares every strategy with one reference ({against}): a stratified sign-flip permutation "
        "test over independent blocks, one a task and seed, at each task's largest budget, with Holm's correction over "
        f"the {len(tests)} strategies, at {percent(ALPHA)}. Significantly "
        + ("; significantly ".join(phrases) if phrases else "different from it: none")
        + ". No other difference between two strategies is called significant in this report."
    )


def limits(comparison: Comparison, task: str) -> Iterator[str]:
    """Smallest difference that the seeds of a task can show at its largest budget."""
    budget = comparison.study.budgets(task)[-1]
    visible = reference.visible(comparison, task, budget)
    n = max((len(v.score.selected) for v in comparison.full(task).values()), default=0)
    if n > 1 and visible is None:
        yield "All strategies of this table are one run, so there is no difference to see."
    elif visible is not None:
        floor = 2.0 ** (1 - n)
        alone = f"; a sign-flip test within this task alone could not go below p = {floor:g}" if floor > ALPHA else ""
        yield (
            f"With {n} seeds, a true difference of {number(visible)} between two typical strategies at "
            f"{percent(budget)} would be called clear in 80 % of repetitions, a smaller one less often; pairs whose "
            f"seeds agree more closely are told apart at less{alone}."
        )


def over(comparison: Comparison, task: str, strategy: str) -> str:
    """By how much a strategy is better than the reference at the largest budget, paired by seed."""
    against, full = comparison.reference(task), comparison.full(task)
    if against is None or against == strategy or against not in full:
        return MISSING
    return value(full[against].score.behind(full[strategy].score, comparison.direction(task)), signed=True)


# --------------------------------------------------------------------------------------------- budget worth


def worth(comparison: Comparison, task: str) -> Table | None:
    """Share of the budget at which the reference ends as well as each strategy does at each budget."""
    worths, against = reference.worths(comparison, task), comparison.reference(task)
    budgets = comparison.study.budgets(task)
    names = [s for s in comparison.standing(task) if any((s, b) in worths for b in budgets)]
    if not names or len(budgets) < 2:
        return None
    rows = tuple((Item(s), *(Item(_worth(worths.get((s, b)), budgets)) for b in budgets)) for s in names)
    note = (
        f"61 % under 25 % says: with 25 % of the full budget it ends as well as {against} with 61 %. {against}'s curve "
        "is linear in the logarithm of the budget between those tried. The interval holds every budget at which the "
        "two, paired by seed, are within noise of each other."
    )
    title = f"{task}: worth in budget of {against}, with its 95 % interval"
    return Table(title, ("strategy", *map(percent, budgets)), rows, (note,))


def _worth(worth: Worth | None, budgets: Sequence[float]) -> str:
    if worth is None:
        return MISSING
    text = _share(worth.share, budgets)
    if worth.low is None or worth.high is None or (worth.low, worth.high) == (worth.share, worth.share):
        return text
    return f"{text} ({_share(worth.low, budgets)} to {_share(worth.high, budgets)})"


def _share(share: float, budgets: Sequence[float]) -> str:
    if math.isinf(share):
        return f"> {percent(budgets[-1])}"
    return f"{100 * share:.3g} %" if share else f"< {percent(budgets[0])}"


# ---------------------------------------------------------------------------------------------------- ranks


def places(panel: RankPanel) -> Table:
    """Numbers of times that each strategy came first, or among the first three, at low and high budgets."""
    order = sorted(range(len(panel.strategies)), key=lambda i: (-panel.high[i].first, -panel.high[i].three, i))
    sides = {f"budget < {percent(LOW)}": panel.low, f"budget ≥ {percent(LOW)}": panel.high}
    sides = {name: side for name, side in sides.items() if side[0].columns}
    rows = []
    for i in order:
        counts = [(n, side[i].columns) for side in sides.values() for n in (side[i].first, side[i].three)]
        rows.append((Item(panel.strategies[i]), *(Item(f"{n} / {columns}") for n, columns in counts)))
    head = (f"{place}, {name}" for name in sides for place in ("first", "first three"))
    title = f"How often {len(panel.strategies)} strategies came first, in columns of task and budget"
    note = "Descriptive: budgets of one task share their runs' beginnings. Strategies that share a place all hold it."
    return Table(title, ("strategy", *head), tuple(rows), (note,))


def friedman(panel: RankPanel) -> str:
    """Friedman's test of a panel in a sentence, or the reason why there is none."""
    k, t, test = len(panel.strategies), len(panel.full), panel.test
    if test is None:
        return (
            f"No Friedman test of these {k} strategies: it asks for at least {TASKS} tasks and {STRATEGIES} "
            f"strategies, and {t} task{'s have' if t != 1 else ' has'} a rank for each at the largest budget."
        )
    outcome = "some strategies rank differently" if test.p <= ALPHA else "no difference in ranks is shown"
    return (
        f"Friedman's test asks whether ranks differ at all, not which: over {t} tasks at the largest budgets {outcome} "
        f"(Iman and Davenport's form, F = {test.statistic:.3g}, p = {probability(test.p)}). By Nemenyi's criterion "
        f"two mean ranks less than {test.distance:.2f} apart are not told apart. Tasks that share data are not "
        "independent, which this takes for granted."
    )
