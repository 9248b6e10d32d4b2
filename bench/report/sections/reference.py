"""Tests against the reference and tests of ranks, in tables and sentences; `bench.analysis` computes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bench.analysis.budget_worth import worths
from bench.analysis.comparison import Comparison
from bench.analysis.primary import ALPHA, Hypothesis, PrimaryTest, Why, Word
from bench.analysis.ranking import LOW, STRATEGIES, TASKS, RankPanel
from bench.analysis.reference import visible
from bench.analysis.stats.equivalent_budget import Worth
from bench.report.markup import Item, Mark, Table
from bench.report.numbers import MISSING, listed, number, percent, value

UNDECLARED = "by default: the plan's row was written before references were declared in it"
OTHERS = "our choice, made after these runs, for published runs declare none"


# ------------------------------------------------------------------------------------------ the primary test

WHY: dict[Why, str] = {
    "wind tunnel": "a wind tunnel's task is reported, never tested",
    "no declared budget": "it ran none of the declared budgets",
    "nothing learnt": "no strategy got beyond the trivial baseline",
    "reference not run": "the reference was not run",
    "one seed": "it has one seed",
    "identical run": "one run with the reference",
    "edge of the grid": "the chosen peak LR lies at an edge of the grid, so a better one may lie outside",
}
"""Reasons for leaving something out of the primary test."""

WORDS: dict[Word, tuple[str, Mark]] = {
    "better": ("significantly better", "best"),
    "worse": ("significantly worse", "bad"),
    "equal": ("equal", "noise"),
    "undecided": ("undecided", ""),
    "BatchNorm statistics only": ("BatchNorm statistics only", ""),
    "too few blocks": ("too few blocks to tell", ""),
}
"""Verdict on a hypothesis, in words."""


def primary(comparison: Comparison, test: PrimaryTest) -> Table:
    """The primary test of every strategy against the reference."""
    rows = tuple(map(_primary, test.hypotheses))
    head = ("strategy", "group", "tasks", "blocks", "effect in margins", "tasks better, worse, equal", "blocks better")
    sampled = "" if all(h.flip.exact for h in test.hypotheses) else " Beyond 32 blocks, of drawn patterns."
    notes = (
        "Effect: mean over tasks of the mean difference, in the smallest difference worth having (the task's margin), "
        "with its stratified 95 % t interval. “Blocks better” is the share of blocks with a better final value, ties "
        "counted half, with its Clopper-Pearson interval; no test.",
        "p is two-sided: the share of all patterns of swaps of the blocks with a standardised effect at least as large."
        + sampled
        + " With BatchNorm it is the larger p of running and recalibrated statistics. Corrected by Holm's steps over "
        "the hypotheses that so many blocks can make significant (Tarone).",
        "Equal: the interval of the effect lies within one margin to both sides.",
    )
    title = f"Every strategy against {comparison.study.reference}, at the declared budgets"
    return Table(title, (*head, "p", "p, corrected", "verdict"), rows, notes)


def _primary(h: Hypothesis) -> tuple[Item, ...]:
    share = h.improvement
    blocks = f"{100 * share.share:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f} %)"
    text = [h.group, str(h.flip.tasks), str(h.flip.blocks), value(h.effect, signed=True)]
    text += [", ".join(map(str, h.signs)), blocks, probability(h.p), probability(h.adjusted)]
    return (Item(h.strategy), *map(Item, text), Item(*WORDS[h.word]))


def probability(p: float) -> str:
    """A p value with three decimals, or with two digits if it is below 0.001."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}".replace("e-0", "e−").replace("e-", "e−")


def omitted(test: PrimaryTest) -> Iterator[str]:
    """One sentence for each task and reason for leaving something out of the test."""
    by_reason: dict[tuple[str, Why, str | None], list[float]] = {}
    for o in test.omissions:
        by_reason.setdefault((o.task, o.why, o.strategy), []).extend([] if o.budget is None else [o.budget])
    shown: dict[tuple[str, Why, tuple[float, ...]], list[str]] = {}
    for (task, why, strategy), columns in by_reason.items():
        shown.setdefault((task, why, tuple(columns)), []).extend([] if strategy is None else [strategy])
    for (task, why, budgets), strategies in shown.items():
        where = f" at {listed([percent(b) for b in budgets])}" if budgets else ""
        names = f", {listed(strategies)}" if strategies else ""
        yield f"Not tested: {task}{names}{where}: {WHY[why]}."


def conclusion(comparison: Comparison, test: PrimaryTest) -> str:
    """The primary test in one paragraph."""
    study = comparison.study
    undeclared = OTHERS if study.published else UNDECLARED
    against = f"{study.reference}, {'declared before the run' if study.declared else undeclared}"
    if not test.hypotheses:
        return (
            f"Nothing is tested: no task has two seeds or more of both the reference ({against}) and another strategy "
            "at a declared budget."
        )
    named = {word: [h.strategy for h in test.hypotheses if h.word == word] for word in WORDS}
    phrases = [
        f"{WORDS[word][0]} {'to' if word == 'equal' else 'than'} it: {listed(names)}"
        for word, names in named.items()
        if names and word in ("better", "worse", "equal")
    ]
    return (
        f"The primary test compares every strategy with one reference ({against}): a stratified permutation test "
        "that swaps all runs of a block, one a task and seed with its declared budgets pooled, between the two and "
        "chooses peak LRs again, corrected for "
        f"{len(test.hypotheses)} hypotheses, at {percent(test.alpha)}. "
        + ("; ".join(phrases).capitalize() if phrases else "Significantly different from it: none")
        + ". No other difference between two strategies is called significant in this report."
    )


def limits(comparison: Comparison, task: str) -> Iterator[str]:
    """Smallest difference that the seeds of a task can show at its largest budget."""
    budget = comparison.study.budgets(task)[-1]
    least = visible(comparison, task, budget)
    n = max((len(v.score.selected) for v in comparison.full(task).values()), default=0)
    if n > 1 and least is None:
        yield "All strategies of this table are one run, so there is no difference to see."
    elif least is not None:
        floor = 2.0 ** (1 - n)
        alone = f"; a test of swaps within this task alone could not go below p = {floor:g}" if floor > ALPHA else ""
        yield (
            f"With {n} seeds, a true difference of {number(least)} between two typical strategies at "
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
    by_strategy, against = worths(comparison, task), comparison.reference(task)
    budgets = comparison.study.budgets(task)
    names = [s for s in comparison.standing(task) if any((s, b) in by_strategy for b in budgets)]
    if not names or len(budgets) < 2:
        return None
    rows = tuple((Item(s), *(Item(_worth(by_strategy.get((s, b)), budgets)) for b in budgets)) for s in names)
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
