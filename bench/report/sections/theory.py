"""Theory beside measurement, in words and tables; `theory` computes."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.comparison import Comparison
from bench.analysis.stats.intervals import Interval
from bench.analysis.theory import Agreement, Theory, reach
from bench.report.csv_tables import csv_text
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, listed, number, percent

COLUMNS = """
    task budget strategy bound_start bound_noise predicted_rank measured_rank predicted_peak_lr chosen_peak_lr
    tau tau_low tau_high tau_n rho tau_peaks
"""


def section(it: Comparison) -> Iterator[str | Table]:
    """What the bound predicts beside what was measured; a sentence where there is too little for it."""
    theory = Theory(it)
    if not theory.agreements:
        yield "No task has three strategies with a bound and a rank at one budget, so there is no order to compare."
        return
    yield _conclusion(theory)
    yield (
        "Predicted is the order of the last-iterate bound of (sub)gradient descent on a convex function (Schaipp et "
        "al. 2025, arXiv:2501.18965; Defazio et al. 2023, arXiv:2310.07831), each schedule at its own best peak LR, "
        "with gradient norms taken as constant. It knows of a task only the number of updates, nothing of momentum. "
        "Nothing is fitted: ranks need no scale, and peak LRs, predicted and chosen, are each divided by their "
        "geometric mean over the strategies of the same task and budget."
    )
    yield _taus(theory)
    for task in it.study.tasks:
        if found := theory.agreements.get((task, it.study.budgets(task)[-1])):
            yield _lines(task, percent(it.study.budgets(task)[-1]), found)


def _conclusion(theory: Theory) -> str:
    """The correlation over tasks, whatever it is."""
    over = theory.over_tasks()
    if over is None:
        return "No order of a task is other than all ties, so there is nothing to correlate."
    within, where = reach(over), f"on average over {over.n} tasks" if over.n > 1 else "in one task"
    if within is None:
        found = "without an interval"
    elif within[0] <= 0 <= within[1]:
        found = "so no agreement is shown"
    else:
        found = f"so order is predicted {'better' if over.mean > 0 else 'worse'} than by chance"
    tau = f"Kendall's tau of the order that convex theory predicts with the measured one: {_correlation(over)}"
    return f"{tau} {where}, {found}."


def _taus(theory: Theory) -> Table:
    it, rows = theory.comparison, []
    budgets = sorted({b for _, b in theory.agreements})
    for task in it.study.tasks:
        found = [theory.agreements.get((task, b)) for b in budgets]
        if not any(found):
            continue
        last = next(f for f in reversed(found) if f)
        taus = [Item(_correlation(f.tau) if f and f.tau else MISSING) for f in found]
        rho = MISSING if last.rho is None else number(last.rho)
        peaks = MISSING if last.tau_peaks is None else number(last.tau_peaks)
        rows.append((Item(task), *taus, Item(rho), Item(peaks), Item(str(len(last.lines)))))
    notes = (
        "Kendall's tau-b for these strategies: mean over seeds, and its 95 % interval over seeds, cut to [−1, 1].",
        "At the largest budget: Spearman's rho of the order of the means; tau of the best peak LRs, predicted and "
        "chosen, which a coarse grid ties; and how many strategies have a bound.",
    )
    head = ("task", *map(percent, budgets), "rho", "tau of peak LRs", "strategies")
    return Table("Predicted order beside the measured one", head, tuple(rows), notes)


def _correlation(tau: Interval) -> str:
    """A correlation with its interval: 0.5 (−0.2 to 1)."""
    within = reach(tau)
    return f"{tau.mean:.2g}".replace("-", "−") + (f" ({within[0]:.2g} to {within[1]:.2g})" if within else "").replace(
        "-", "−"
    )


def _lines(task: str, budget: str, found: Agreement) -> Table:
    rows = tuple(
        (
            Item(x.strategy),
            *map(Item, (f"{x.predicted:.3g}", f"{x.measured:.3g}", f"{x.peak_lr:.2g}", f"{x.selected:.2g}")),
        )
        for x in found.lines
    )
    head = ("strategy", "rank, predicted", "measured", "best peak LR, predicted", "chosen")
    rest = (f"Without a bound: {listed(list(found.left_out))}.",) if found.left_out else ()
    return Table(f"{task}: predicted beside measured, at {budget}", head, rows, rest)


def theory_csv(it: Comparison) -> str:
    """One line for each task, budget and strategy that has a bound, in full precision."""
    lines = []
    for (task, budget), found in Theory(it).agreements.items():
        tau = found.tau
        shared: dict[str, object] = {"task": task, "budget": budget, "rho": found.rho, "tau_peaks": found.tau_peaks}
        shared |= {"tau": tau.mean, "tau_n": tau.n} if tau else {}
        shared |= dict(zip(("tau_low", "tau_high"), (tau and reach(tau)) or (), strict=False))
        for x in found.lines:
            ranked = {"predicted_rank": x.predicted, "measured_rank": x.measured}
            peaks = {"predicted_peak_lr": x.peak_lr, "chosen_peak_lr": x.selected}
            bound = {"bound_start": x.bound.start, "bound_noise": x.bound.noise}
            lines.append(shared | {"strategy": x.strategy} | bound | ranked | peaks)
    return csv_text(COLUMNS, lines)
