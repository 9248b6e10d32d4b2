"""Tables of a comparison: strategies down, budgets or peak LRs across. Rows stand best first, at the largest budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analysis.comparison import Comparison, Score, Verdict, fate
from bench.analysis.protocol.reference import joint_standings
from bench.analysis.ranking import RankPanel
from bench.report.markup import Item, Mark, Table
from bench.report.numbers import MISSING, gap, percent, quantity, value
from bench.report.sections import diagnostics, reference

SIGNS = {
    "≈": "≈ within noise of the best of its column",
    "=": "= identical run with another strategy, so they share a rank",
    "↓": "↓ lowest peak LR of the grid chosen",
    "↑": "↑ highest peak LR of the grid chosen",
    "*": "* not every planned try is recorded",
}
"""Signs after a value, and their meaning."""

LOOK: dict[str, Mark] = {"best": "first", "tied best": "first", "identical run": "first"}
"""Look of a strategy by its verdict beside the best of its column."""

BESIDE: dict[tuple[Mark, str], Mark] = {
    ("", "better"): "better",
    ("", "worse"): "worse",
    ("first", "better"): "first better",
    ("first", "worse"): "first worse",
}
"""Look by the verdict beside the best, and by the one beside the reference."""


# ------------------------------------------------------------------------------------------------ per task


def results(comparison: Comparison, task: str) -> Table:
    """Final test metric with ranks, strategies by budgets: the main table of a task."""
    facts, budgets = comparison.study.tasks[task], comparison.study.budgets(task)
    columns = [_results(comparison, task, b) for b in budgets]
    missing = Item(MISSING)
    rows = tuple((Item(s), *(column.get(s, missing) for column in columns)) for s in comparison.standing(task))
    head = (f"{percent(b)} ({quantity(facts.epochs * b, facts.unit)})" for b in budgets)
    title = f"{_about(comparison, task)}, mean ± half of the 95 % interval, and (rank)"
    return Table(title, ("strategy", *head), rows, legend(rows))


def _results(comparison: Comparison, task: str, budget: float) -> dict[str, Item]:
    """A column of results, by strategy."""
    looks, resolution = looks_of(comparison, task, budget), told_apart(comparison, task, budget)
    column = {}
    for s, verdict in comparison.at(task, budget).items():
        if verdict.rank is not None:
            text = f"{outcome(verdict.score, resolution)}{_signs(comparison, task, verdict)} ({verdict.rank:.3g})"
            column[s] = Item(text, looks[s])
    return column


def looks_of(comparison: Comparison, task: str, budget: float) -> dict[str, Mark]:
    """Look of each strategy: first of its column or not, and better or worse than the reference or neither."""
    beside, group = joint_standings(comparison, task, budget), comparison.at(task, budget)
    looks: dict[str, Mark] = {}
    for s, verdict in group.items():
        look = LOOK.get(verdict.word, "")
        looks[s] = BESIDE.get((look, beside[s].word if s in beside else ""), look)
    return looks


def told_apart(comparison: Comparison, task: str, budget: float) -> float:
    """Smallest difference in a column between strategies with different verdicts, beside the best or the reference."""
    looks, group = looks_of(comparison, task, budget), comparison.at(task, budget)
    verdicts = ((v.score.final, (looks[s].removeprefix("first").strip(), v.word == "worse")) for s, v in group.items())
    return gap([(final.mean, verdict) for final, verdict in verdicts if final])


def legend(rows: Iterable[Sequence[Item]]) -> tuple[str, ...]:
    """Meaning of the signs in these rows."""
    text = "".join(field.text for row in rows for field in row[1:])
    return tuple(says for sign, says in SIGNS.items() if sign in text)


def _about(comparison: Comparison, task: str) -> str:
    """Title of a task's results: metric, size of the grid, and seeds."""
    study, facts = comparison.study, comparison.study.tasks[task]
    verdicts = [v for b in study.budgets(task) for v in comparison.at(task, b).values()]
    counts = [len(v.score.selected) for v in verdicts] or [0]
    n = f"{min(counts)} to " * (min(counts) < max(counts)) + str(max(counts))
    better = "higher" if facts.direction == "max" else "lower"
    sizes = {
        "strategies": len(study.of_task(task)),
        "budgets": len(facts.budgets),
        "LRs": study.peak_lrs(task),
    }
    grid = " x ".join(quantity(size, name) for name, size in sizes.items())
    return f"{task}: final test {facts.metric} ({better} is better; {grid}; n = {n} seed{'s' * (max(counts) != 1)})"


def outcome(score: Score, resolution: float = 0.0) -> str:
    """Final value of a score, or the number of its seeds that diverged or failed."""
    if score.diverged:
        return f"{fate(score.selected)} {score.diverged}/{len(score.selected)}"
    return value(score.final, resolution=resolution)


def _signs(comparison: Comparison, task: str, verdict: Verdict) -> str:
    noise, same = "≈" * (verdict.word == "within noise"), "=" * bool(verdict.identical)
    edges = "".join({"low": "↓", "high": "↑"}[edge] for edge in verdict.score.edges)
    return " " * bool(noise or same or edges) + noise + same + edges + "*" * comparison.cut_short(task, verdict.score)


def readings(comparison: Comparison, task: str) -> Table:
    """All readings at the largest budget, each in its own column, and what its runs came through."""
    study, full, budget = comparison.study, comparison.full(task), comparison.study.budgets(task)[-1]
    looks, resolution = looks_of(comparison, task, budget), told_apart(comparison, task, budget)
    recalibrated = any(t.recalibrated is not None for v in full.values() for t in v.score.tries)
    secondary = list(dict.fromkeys(name for v in full.values() for t in v.score.selected for name, _ in t.secondary))
    extra = diagnostics.columns(comparison, task)
    rows = []
    for s in (s for s in comparison.standing(task) if s in full):
        score = full[s].score
        fields = [value(score.secondary(metric)) for metric in secondary]
        fields += [value(score.over_seeds("best"))]
        fields += [value(score.over_seeds("recalibrated"))] * recalibrated
        fields += [reference.over(comparison, task, s), selected_peak_lrs(score), cost_of_worst(score)]
        fields += [column.get(s, MISSING) for column in extra.values()]
        rows.append((Item(s), Item(outcome(score, resolution), looks[s]), *map(Item, fields)))
    head = ["strategy", "final", *(f"final {metric}" for metric in secondary), "best epoch's"]
    head += ["final, recalibrated"] * recalibrated
    head += [f"over {study.reference}", "peak LRs chosen", "worst LR costs", *extra]
    title = f"{task}: readings at {percent(budget)} of the full budget"
    return Table(title, tuple(head), tuple(rows))


def selected_peak_lrs(score: Score) -> str:
    """Peak LRs chosen, with the number of seeds where they differ: 0.1 (2), 0.3 (1)."""
    selected = [t.peak_lr for t in score.selected]
    counts = {lr: selected.count(lr) for lr in sorted(selected)}
    return ", ".join(f"{lr:g} ({n})" if len(counts) > 1 else f"{lr:g}" for lr, n in counts.items()) or MISSING


def cost_of_worst(score: Score) -> str:
    """Distance between the means at the best and the worst peak LR."""
    at_peaks = [score.at_peak(lr) for lr in score.peak_lrs]
    if any(diverged for _, diverged, _ in at_peaks):
        return "fails" if fate(score.tries) == "failed" else "diverges"
    means = [mean.mean for mean, _, _ in at_peaks if mean]
    return f"{max(means) - min(means):.2g}" if len(means) > 1 else MISSING


# -------------------------------------------------------------------------------------------- across tasks


def mean_ranks(panel: RankPanel) -> Table:
    """Mean rank of each strategy by budget, best first at the largest one."""
    budgets = sorted(panel.means)
    order = sorted(range(len(panel.strategies)), key=lambda i: panel.means[budgets[-1]][0][i])
    rows = []
    for i in order:
        fields = [Item(panel.strategies[i])]
        for b in budgets:
            means = panel.means[b][0]
            fields.append(Item(f"{means[i]:.1f}", "first" if means[i] == min(means) else ""))
        rows.append(tuple(fields))
    head = (f"{percent(b)} ({_tasks(panel.means[b][1])})" for b in budgets)
    title = f"Mean rank of {len(panel.strategies)} strategies, where a task ran all of them"
    note = f"Tasks: {', '.join(panel.tasks)}. Descriptive: tasks that share data are not independent."
    return Table(title, ("strategy", *head), tuple(rows), (note,))


def _tasks(count: int) -> str:
    return f"{count} task{'s' * (count != 1)}"
