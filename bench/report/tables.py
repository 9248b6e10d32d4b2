"""Tables of a comparison: strategies down, budgets or peak LRs across. Rows stand best first, at the largest budget."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bench.analysis.comparison import FIRST, Comparison, Score, Verdict, fate, leaders
from bench.analysis.ranking import RankPanel
from bench.report.markup import Item, Mark, Table
from bench.report.numbers import MISSING, percent, quantity, value
from bench.report.sections import reference

SIGNS = {
    "≈": "≈ within noise of the best of its column",
    "=": "= identical run with another strategy, so they share a rank",
    "↓": "↓ lowest peak LR of the grid chosen for some seed",
    "↑": "↑ highest peak LR of the grid chosen for some seed",
    "*": "* not every planned try is recorded",
}
"""Signs after a value, and their meaning."""

LOOK: dict[str, Mark] = {
    "best": "best",
    "tied best": "best",
    "identical run": "best",
    "within noise": "noise",
    "diverged": "bad",
    "failed": "bad",
}


# ------------------------------------------------------------------------------------------------ per task


def results(comparison: Comparison, task: str) -> Table:
    """Final test metric with ranks, strategies by budgets: the main table of a task."""
    facts, budgets = comparison.study.tasks[task], comparison.study.budgets(task)
    rows = tuple((Item(s), *(_result(comparison, task, b, s) for b in budgets)) for s in comparison.standing(task))
    head = (f"{percent(b)} ({quantity(facts.epochs * b, facts.unit)})" for b in budgets)
    title = f"{_about(comparison, task)}, mean ± half of the 95 % interval, and (rank)"
    return Table(title, ("strategy", *head), rows, legend(rows))


def brief(comparison: Comparison, task: str) -> Table:
    """Results of a task for a terminal: no ranks, no epochs."""
    rows = []
    for name, *fields in results(comparison, task).rows:
        rows.append((name, *(field._replace(text=_squeezed(field.text)) for field in fields)))
    budgets = map(percent, comparison.study.budgets(task))
    return Table(_about(comparison, task), ("strategy", *budgets), tuple(rows))


def _squeezed(text: str) -> str:
    return re.sub(r" \([\d.]+\)$", "", text).replace(" ± ", "±").replace(" ", "")


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


def _result(comparison: Comparison, task: str, budget: float, strategy: str) -> Item:
    verdict = comparison.at(task, budget).get(strategy)
    if verdict is None or verdict.rank is None:
        return Item(MISSING)
    text = f"{outcome(verdict.score)}{_signs(comparison, task, verdict)} ({verdict.rank:.3g})"
    return Item(text, LOOK.get(verdict.word, ""))


def outcome(score: Score) -> str:
    """Final value of a score, or the number of its seeds that diverged or failed."""
    return f"{fate(score.selected)} {score.diverged}/{len(score.selected)}" if score.diverged else value(score.final)


def _signs(comparison: Comparison, task: str, verdict: Verdict) -> str:
    noise, same = "≈" * (verdict.word == "within noise"), "=" * bool(verdict.identical)
    edges = "".join({"low": "↓", "high": "↑"}[edge] for edge in verdict.score.edges)
    return " " * bool(noise or same or edges) + noise + same + edges + "*" * comparison.cut_short(task, verdict.score)


def readings(comparison: Comparison, task: str) -> Table:
    """All readings at the largest budget, each in its own column: final, best epoch, recalibrated, control."""
    study, full = comparison.study, comparison.full(task)
    recalibrated = any(t.recalibrated is not None for v in full.values() for t in v.score.tries)
    secondary = list(dict.fromkeys(name for v in full.values() for t in v.score.selected for name, _ in t.secondary))
    rows = []
    for s in comparison.standing(task):
        if s not in full:
            continue
        verdict, score = full[s], full[s].score
        epoch = score.over_seeds("best_epoch")
        fields = [value(score.secondary(metric)) for metric in secondary]
        fields += [value(score.over_seeds("best")), f"{epoch.mean:.3g}" if epoch else MISSING]
        fields += [value(score.over_seeds("recalibrated"))] * recalibrated
        fields += [value(score.over_seeds("control")), selected_peak_lrs(score)]
        fields += [reference.over(comparison, task, s), _behind(verdict), verdict.word]
        rows.append((Item(s), Item(outcome(score), LOOK.get(verdict.word, "")), *map(Item, fields)))
    head = ["strategy", "final", *(f"final {metric}" for metric in secondary), "best epoch's", "at epoch"]
    head += [*["final, recalibrated"] * recalibrated, "control, final"]
    head += ["peak LRs chosen", f"over {study.reference}", "behind the best", "verdict"]
    notes = ["“Best epoch's” is the test value at the epoch with the best control value, never a maximum over test."]
    if recalibrated:
        notes.append("“Final” has BatchNorm's running statistics; “recalibrated”, those of training batches.")
    notes.append("The two differences are paired by seed; above 0 is better over the reference, worse behind the best.")
    title = f"{task}: readings at {percent(study.budgets(task)[-1])} of the full budget"
    return Table(title, tuple(head), tuple(rows), tuple(notes))


def _behind(verdict: Verdict) -> str:
    return MISSING if verdict.word in (*FIRST, "identical run") else value(verdict.behind)


def selected_peak_lrs(score: Score) -> str:
    """Peak LRs chosen, with the number of seeds where they differ: 0.1 (2), 0.3 (1)."""
    selected = [t.peak_lr for t in score.selected]
    counts = {lr: selected.count(lr) for lr in sorted(selected)}
    return ", ".join(f"{lr:g} ({n})" if len(counts) > 1 else f"{lr:g}" for lr, n in counts.items()) or MISSING


def sensitivity(comparison: Comparison, task: str) -> Table:
    """Final test metric at each peak LR of the grid, at the largest budget, and how much the worst one costs."""
    full = comparison.full(task)
    peak_lrs = sorted({lr for v in full.values() for lr in v.score.peak_lrs})
    rows = []
    for s in comparison.standing(task):
        if s in full:
            score = full[s].score
            rows.append((Item(s), *(Item(_at_peak(score, lr)) for lr in peak_lrs), Item(cost_of_worst(score))))
    title = f"{task}: final test {comparison.study.tasks[task].metric} by peak LR"
    note = (
        "The last column is the distance between the means at the best and the worst peak LR. Nothing is chosen here."
    )
    return Table(title, ("strategy", *(f"{lr:g}" for lr in peak_lrs), "worst LR costs"), tuple(rows), (note,))


def _at_peak(score: Score, peak_lr: float) -> str:
    mean, diverged, tries = score.at_peak(peak_lr)
    word = fate(t for t in score.tries if t.peak_lr == peak_lr)
    return f"{word} {diverged}/{tries}" if diverged else value(mean)


def cost_of_worst(score: Score) -> str:
    """Distance between the means at the best and the worst peak LR."""
    at_peaks = [score.at_peak(lr) for lr in score.peak_lrs]
    if any(diverged for _, diverged, _ in at_peaks):
        return "fails" if fate(score.tries) == "failed" else "diverges"
    means = [mean.mean for mean, _, _ in at_peaks if mean]
    return f"{max(means) - min(means):.2g}" if len(means) > 1 else MISSING


# -------------------------------------------------------------------------------------------- across tasks


def matrix(comparison: Comparison) -> Table:
    """The best of each task and budget, its value, and whether it is clearly better than the reference."""
    study = comparison.study
    budgets = sorted({b for task in study.tasks for b in study.budgets(task)})
    rows = tuple((Item(task), *(_winner(comparison, task, b) for b in budgets)) for task in study.tasks)
    note = (
        f"Mean over seeds ± half of the 95 % interval. Bold: clearly better than {study.reference}; shaded: within "
        "noise of it. Strategies that are one run with the best are not named. The best of many looks better than it "
        "is."
    )
    return Table("The best of each task and budget", ("task", *map(percent, budgets)), rows, (note,))


def _winner(comparison: Comparison, task: str, budget: float) -> Item:
    group = comparison.at(task, budget)
    first = leaders(group)
    if not first:
        return Item(MISSING)
    against = group.get(comparison.reference(task) or "")
    mark: Mark = ""
    if against and against.word not in (*FIRST, "identical run", "not judged"):
        # A reference that diverged or failed is beaten, too.
        mark = "noise" if against.word == "within noise" else "best"
    names = first[0] if len(first) == 1 else f"{len(first)} tie"
    return Item(f"{names}: {outcome(group[first[0]].score)}", mark)


def mean_ranks(panel: RankPanel) -> Table:
    """Mean rank of each strategy by budget, best first at the largest one."""
    budgets = sorted(panel.means)
    order = sorted(range(len(panel.strategies)), key=lambda i: panel.means[budgets[-1]][0][i])
    rows = []
    for i in order:
        fields = [Item(panel.strategies[i])]
        for b in budgets:
            means = panel.means[b][0]
            fields.append(Item(f"{means[i]:.1f}", "best" if means[i] == min(means) else ""))
        rows.append(tuple(fields))
    head = (f"{percent(b)} ({_tasks(panel.means[b][1])})" for b in budgets)
    title = f"Mean rank of {len(panel.strategies)} strategies, where a task ran all of them"
    note = f"Tasks: {', '.join(panel.tasks)}. Descriptive: tasks that share data are not independent."
    return Table(title, ("strategy", *head), tuple(rows), (note,))


def _tasks(count: int) -> str:
    return f"{count} task{'s' * (count != 1)}"
