"""Tests against the reference and tests of ranks, in tables and sentences; `bench.analysis` computes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from bench.analysis.budget_worth import worths
from bench.analysis.comparison import Comparison
from bench.analysis.protocol.primary import ALPHA, Hypothesis, Omission, PrimaryTest, Why, Word
from bench.analysis.ranking import STRATEGIES, TASKS, RankPanel
from bench.analysis.stats.equivalent_budget import Worth
from bench.report.markup import Item, Mark, Table
from bench.report.numbers import MISSING, listed, percent, value

UNDECLARED = "by default: the plan's row was written before references were declared in it"
OTHERS = "our choice, made after these runs, for published runs declare none"


# ------------------------------------------------------------------------------------------ the primary test

WHY: dict[Why, str] = {
    "wind tunnel": "a wind tunnel's task is reported, never tested",
    "no declared budget": "it ran none of the declared budgets",
    "nothing learnt": "no strategy is shown to get beyond the trivial baseline",
    "reference not run": "the reference was not run",
    "one seed": "it has one seed",
    "identical run": "one run with the reference",
    "edge of the grid": "the chosen peak LR lies at an edge of the grid, so a better one may lie outside",
}
"""Reasons for leaving something out of the primary test."""

WORDS: dict[Word, tuple[str, Mark]] = {
    "better": ("significantly better", "first better"),
    "worse": ("significantly worse", "worse"),
    "equal": ("equal", ""),
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


def omitted(omissions: Iterable[Omission]) -> Iterator[str]:
    """One sentence for each task and reason for leaving something out of a test."""
    by_reason: dict[tuple[str, Why, str | None], list[float]] = {}
    for o in omissions:
        by_reason.setdefault((o.task, o.why, o.strategy), []).extend([] if o.budget is None else [o.budget])
    omitted_of: dict[tuple[str, Why, tuple[float, ...]], list[str]] = {}
    for (task, why, strategy), columns in by_reason.items():
        omitted_of.setdefault((task, why, tuple(columns)), []).extend([] if strategy is None else [strategy])
    for (task, why, budgets), strategies in omitted_of.items():
        where = f" at {listed([percent(b) for b in budgets])}" if budgets else ""
        names = f", {listed(strategies)}" if strategies else ""
        yield f"Not tested: {task}{names}{where}: {WHY[why]}."


def method(comparison: Comparison, test: PrimaryTest) -> str:
    """Description of the primary test, in one paragraph."""
    study = comparison.study
    undeclared = OTHERS if study.published else UNDECLARED
    against = f"{study.reference}, {'declared before the run' if study.declared else undeclared}"
    if not test.hypotheses:
        return (
            f"Nothing is tested: no task has two seeds or more of both the reference ({against}) and another strategy "
            "at a declared budget."
        )
    return (
        f"The primary test compares every strategy with one reference ({against}): a stratified permutation test "
        "that swaps all runs of a block (one task and seed, its declared budgets pooled) between the two, and chooses "
        "their peak LRs again, corrected for "
        f"{len(test.hypotheses)} hypotheses, at {percent(test.alpha)}."
    )


def over(comparison: Comparison, task: str, strategy: str) -> str:
    """By how much a strategy is better than the reference at the largest budget, paired by seed."""
    against, full = comparison.reference(task), comparison.full(task)
    if against is None or against == strategy or against not in full:
        return MISSING
    return value(full[against].score.behind(full[strategy].score, comparison.direction(task)), signed=True)


# --------------------------------------------------------------------------------------------- budget worth


def worth(comparison: Comparison, task: str) -> Iterator[str]:
    """Worth of the strategy that ends first, in budget of the reference, in a sentence."""
    by_strategy, against, best = worths(comparison, task), comparison.reference(task), comparison.best(task)
    budgets = comparison.study.budgets(task)
    by_budget = {b: by_strategy[best, b] for b in budgets[:-1] if best and (best, b) in by_strategy}
    if best != against and by_budget:
        parts = [f"at {percent(b)} as well as {against} at {_worth(worth, budgets)}" for b, worth in by_budget.items()]
        yield f"In budget: {best} ends {'; '.join(parts)} (95 % intervals)."


def _worth(worth: Worth, budgets: Sequence[float]) -> str:
    text = _share(worth.share, budgets)
    if worth.low is None or worth.high is None or (worth.low, worth.high) == (worth.share, worth.share):
        return text
    return f"{text} ({_share(worth.low, budgets)} to {_share(worth.high, budgets)})"


def _share(share: float, budgets: Sequence[float]) -> str:
    if math.isinf(share):
        return f"> {percent(budgets[-1])}"
    return f"{100 * share:.3g} %" if share else f"< {percent(budgets[0])}"


# ---------------------------------------------------------------------------------------------------- ranks


def friedman(panel: RankPanel) -> str:
    """Friedman's test of a panel in a sentence, or the reason why there is none."""
    k, t, test = len(panel.strategies), len(panel.full), panel.test
    if test is None:
        return (
            f"No Friedman test of these {k} strategies: it asks for at least {TASKS} tasks and {STRATEGIES} "
            f"strategies, and {t} task{'s have' if t != 1 else ' has'} a rank for each at the largest budget."
        )
    outcome = "they do for some" if test.p <= ALPHA else "no difference in ranks is shown"
    return (
        f"A second look, at ranks alone: Friedman's test asks whether they differ at all, not which, nor by how much, "
        f"and is corrected for no other test. Over {t} tasks at the largest budgets {outcome} (Iman and Davenport's "
        f"form, F = {test.statistic:.3g}, p = {probability(test.p)}). By Nemenyi's criterion two mean ranks less than "
        f"{test.distance:.2f} apart are not told apart. Tasks that share data are not independent, which this takes "
        "for granted."
    )
