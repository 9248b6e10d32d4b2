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
"""Signs beside a value, and what they say."""

LOOK: dict[str, Mark] = {
    "best": "best",
    "tied best": "best",
    "identical run": "best",
    "within noise": "noise",
    "diverged": "bad",
    "failed": "bad",
}


# ------------------------------------------------------------------------------------------------ per task


def results(it: Comparison, task: str) -> Table:
    """Final test metric, strategy x budget, with ranks: the headline of a task."""
    facts, budgets = it.study.tasks[task], it.study.budgets(task)
    rows = tuple((Item(s), *(_result(it, task, b, s) for b in budgets)) for s in it.standing(task))
    unit = facts.unit
    head = (f"{percent(b)} ({quantity(facts.epochs * b, unit)})" for b in budgets)
    title = f"{_about(it, task)}, mean ± half of the 95 % interval, and (rank)"
    return Table(title, ("strategy", *head), rows, legend(rows))


def brief(it: Comparison, task: str) -> Table:
    """The same for a terminal: no ranks, no epochs."""
    rows = tuple((row[0], *(f._replace(text=_squeezed(f.text)) for f in row[1:])) for row in results(it, task).rows)
    return Table(_about(it, task), ("strategy", *map(percent, it.study.budgets(task))), rows)


def _squeezed(text: str) -> str:
    return re.sub(r" \([\d.]+\)$", "", text).replace(" ± ", "±").replace(" ", "")


def legend(rows: Iterable[Sequence[Item]]) -> tuple[str, ...]:
    """What the signs in these rows say."""
    text = "".join(field.text for row in rows for field in row[1:])
    return tuple(says for sign, says in SIGNS.items() if sign in text)


def _about(it: Comparison, task: str) -> str:
    facts = it.study.tasks[task]
    counts = [len(v.score.selected) for b in it.study.budgets(task) for v in it.at(task, b).values()] or [0]
    n = f"{min(counts)} to " * (min(counts) < max(counts)) + str(max(counts))
    better = "higher" if facts.direction == "max" else "lower"
    sizes = {"strategies": len(it.study.of_task(task)), "budgets": len(facts.budgets)}
    grid = " x ".join(quantity(size, name) for name, size in (sizes | {"LRs": it.study.peak_lrs(task)}).items())
    return f"{task}: final test {facts.metric} ({better} is better; {grid}; n = {n} seed{'s' * (max(counts) != 1)})"


def _result(it: Comparison, task: str, budget: float, strategy: str) -> Item:
    verdict = it.at(task, budget).get(strategy)
    if verdict is None or verdict.rank is None:
        return Item(MISSING)
    text = f"{outcome(verdict.score)}{_signs(it, task, verdict)} ({verdict.rank:.3g})"
    return Item(text, LOOK.get(verdict.word, ""))


def outcome(score: Score) -> str:
    """Final value of a score, or how many of its seeds diverged or failed."""
    return f"{fate(score.selected)} {score.diverged}/{len(score.selected)}" if score.diverged else value(score.final)


def _signs(it: Comparison, task: str, verdict: Verdict) -> str:
    noise, same = "≈" * (verdict.word == "within noise"), "=" * bool(verdict.identical)
    edges = "".join({"low": "↓", "high": "↑"}[edge] for edge in verdict.score.edges)
    return " " * bool(noise or same or edges) + noise + same + edges + "*" * it.cut_short(task, verdict.score)


def readings(it: Comparison, task: str) -> Table:
    """Everything read at the largest budget: final beside best epoch, recalibrated, control; never mixed."""
    full, rows = it.full(task), []
    anew = any(t.recalibrated is not None for v in full.values() for t in v.score.tries)
    for s in it.standing(task):
        if s not in full:
            continue
        score, epoch = full[s].score, full[s].score.over_seeds("best_epoch")
        fields = [outcome(score), value(score.over_seeds("best")), f"{epoch.mean:.3g}" if epoch else MISSING]
        fields += [value(score.over_seeds("recalibrated"))] * anew
        fields += [
            value(score.over_seeds("control")),
            selected_peak_lrs(score),
            reference.over(it, task, s),
            _behind(full[s]),
            full[s].word,
        ]
        rows.append(
            (Item(s), *(Item(text, LOOK.get(full[s].word, "") if not i else "") for i, text in enumerate(fields)))
        )
    head = ["strategy", "final", "best epoch's", "at epoch", *["final, recalibrated"] * anew, "control, final"]
    notes = ["“Best epoch's” is the test value at the epoch with the best control value, never a maximum over test."]
    notes += ["Headline with BatchNorm's running statistics; beside it after recalibration on training batches."] * anew
    notes.append("The two differences are paired by seed; above 0 is better over the reference, worse behind the best.")
    title = f"{task}: readings at {percent(it.study.budgets(task)[-1])} of the full budget"
    head += ["peak LRs chosen", f"over {it.study.reference}", "behind the best", "verdict"]
    return Table(title, tuple(head), tuple(rows), tuple(notes))


def _behind(verdict: Verdict) -> str:
    return MISSING if verdict.word in (*FIRST, "identical run") else value(verdict.behind)


def selected_peak_lrs(score: Score) -> str:
    """Peak LRs chosen, with the number of seeds where they differ: 0.1 (2), 0.3 (1)."""
    picked = [t.peak_lr for t in score.selected]
    counts = {lr: picked.count(lr) for lr in sorted(picked)}
    return ", ".join(f"{lr:g} ({n})" if len(counts) > 1 else f"{lr:g}" for lr, n in counts.items()) or MISSING


def sensitivity(it: Comparison, task: str) -> Table:
    """Final test metric at each peak LR of the grid, at the largest budget, and how much the worst one costs."""
    full, peaks = it.full(task), sorted({lr for v in it.full(task).values() for lr in v.score.peak_lrs})
    rows = []
    for s in it.standing(task):
        if s in full:
            score = full[s].score
            rows.append((Item(s), *(Item(_at_peak(score, lr)) for lr in peaks), Item(cost_of_worst(score))))
    title = f"{task}: final test {it.study.tasks[task].metric} by peak LR"
    notes = (
        "The last column is the distance between the means at the best and the worst peak LR. Nothing is chosen here.",
    )
    return Table(title, ("strategy", *(f"{lr:g}" for lr in peaks), "worst LR costs"), tuple(rows), notes)


def _at_peak(score: Score, peak_lr: float) -> str:
    mean, diverged, tries = score.at_peak(peak_lr)
    lost = fate(t for t in score.tries if t.peak_lr == peak_lr)
    return f"{lost} {diverged}/{tries}" if diverged else value(mean)


def cost_of_worst(score: Score) -> str:
    """Distance between the means at the best and the worst peak LR."""
    seen = [score.at_peak(lr) for lr in score.peak_lrs]
    if any(diverged for _, diverged, _ in seen):
        return "fails" if fate(score.tries) == "failed" else "diverges"
    means = [mean.mean for mean, _, _ in seen if mean]
    return f"{max(means) - min(means):.2g}" if len(means) > 1 else MISSING


# -------------------------------------------------------------------------------------------- across tasks


def matrix(it: Comparison) -> Table:
    """The best of each task and budget, its value, and whether it is clearly better than the reference."""
    budgets = sorted({b for task in it.study.tasks for b in it.study.budgets(task)})
    rows = tuple((Item(task), *(_winner(it, task, b) for b in budgets)) for task in it.study.tasks)
    against = it.study.reference
    notes = (
        f"Mean over seeds ± half of the 95 % interval. Bold: clearly better than {against}; shaded: within noise of "
        "it. Strategies that are one run with the best are not named. The best of many looks better than it is.",
    )
    return Table("The best of each task and budget", ("task", *map(percent, budgets)), rows, notes)


def _winner(it: Comparison, task: str, budget: float) -> Item:
    group = it.at(task, budget)
    first = leaders(group)
    if not first:
        return Item(MISSING)
    against = group.get(it.reference(task) or "")
    mark: Mark = ""
    if against and against.word not in (*FIRST, "identical run", "not judged"):
        mark = "noise" if against.word == "within noise" else "best"  # a reference that was lost is beaten
    names = first[0] if len(first) == 1 else f"{len(first)} tie"
    return Item(f"{names}: {outcome(group[first[0]].score)}", mark)


def mean_ranks(panel: RankPanel) -> Table:
    """Mean rank of each strategy by budget, best first at the largest one."""
    budgets = sorted(panel.means)
    order = sorted(range(len(panel.strategies)), key=lambda i: panel.means[budgets[-1]][0][i])
    rows = []
    for i in order:
        means = [panel.means[b][0] for b in budgets]
        rows.append(
            (Item(panel.strategies[i]), *(Item(f"{m[i]:.1f}", "best" if m[i] == min(m) else "") for m in means))
        )
    head = (f"{percent(b)} ({_tasks(panel.means[b][1])})" for b in budgets)
    title = f"Mean rank of {len(panel.strategies)} strategies, where a task ran all of them"
    note = f"Tasks: {', '.join(panel.tasks)}. Descriptive: tasks that share data are not independent."
    return Table(title, ("strategy", *head), tuple(rows), (note,))


def _tasks(count: int) -> str:
    return f"{count} task{'s' * (count != 1)}"
