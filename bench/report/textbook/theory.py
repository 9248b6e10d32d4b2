"""Predictions of convex theory and measurements, in words and tables; `textbook.theory` computes them."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.comparison import Comparison
from bench.analysis.stats.intervals import Interval
from bench.analysis.textbook.theory import TIE, Agreement, Theory, reach
from bench.report.csv_tables import csv_text
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, listed, number, percent

COLUMNS = """
    task budget strategy bound_start bound_noise predicted_rank measured_rank predicted_peak_lr chosen_peak_lr
    tau tau_low tau_high tau_n ceiling_low ceiling_high rho tau_peaks
"""


def section(comparison: Comparison) -> Iterator[str | Table]:
    """The order that the bound predicts and the measured one; a sentence where there is too little data."""
    theory = Theory(comparison)
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


def _conclusion(theory: Theory) -> str:
    """The correlation over tasks, and by budget, with what noise leaves to be reached."""
    mean = theory.over_tasks()
    if mean is None:
        return "No order of a task is other than all ties, so there is nothing to correlate."
    over, ceiling = mean
    interval = reach(over)
    if interval is None:
        consequence = "without an interval"
    elif interval[0] <= 0 <= interval[1]:
        consequence = "so no agreement is shown"
    else:
        consequence = f"so order is predicted {'better' if over.mean > 0 else 'worse'} than by chance"
    tau = f"Kendall's tau of the order that convex theory predicts with the measured one: {_correlation(over)}"
    tasks = f"on average over {over.n} tasks" if over.n > 1 else "in one task"
    noise = (
        ""
        if ceiling is None
        else f" Seeds agree with each other so far that the true order would reach {_to(ceiling)}."
    )
    return f"{tau} {tasks}, {consequence}.{noise}{_by_budget(theory)}"


def _by_budget(theory: Theory) -> str:
    """Mean tau at each budget, where there are several."""
    budgets = _budgets(theory)
    means = [(b, mean) for b in budgets if (mean := theory.over_tasks(b))]
    if len(means) < 2:
        return ""
    phrases = []
    for budget, (tau, ceiling) in means:
        tasks = f"{tau.n} task{'s' * (tau.n != 1)}"
        phrases.append(
            f"{_two(tau.mean)}{'' if ceiling is None else f' of {_to(ceiling)}'} at {percent(budget)} ({tasks})"
        )
    return f" By budget, which not all tasks share: {'; '.join(phrases)}."


def _budgets(theory: Theory) -> list[float]:
    return sorted({b for _, b in theory.agreements})


def _taus(theory: Theory) -> Table:
    study, rows = theory.comparison.study, []
    budgets = _budgets(theory)
    for task in study.tasks:
        agreements = [theory.agreements.get((task, b)) for b in budgets]
        if not any(agreements):
            continue
        last = next(a for a in reversed(agreements) if a)
        taus = [Item(_of_noise(a)) for a in agreements]
        rho = MISSING if last.rho is None else number(last.rho)
        peaks = MISSING if last.tau_peaks is None else number(last.tau_peaks)
        rows.append((Item(task), *taus, Item(rho), Item(peaks), Item(str(len(last.lines)))))
    notes: tuple[str, ...] = (
        "Kendall's tau-b for these strategies: mean over seeds, and its 95 % interval over seeds, cut to [−1, 1]. "
        f"Strategies whose bounds differ by less than {percent(TIE)} tie in it. After “of” stands the noise ceiling, "
        "the tau that the true order would reach: between that of the order of the other seeds, and that of all seeds, "
        "the seed itself among them.",
        "At the largest budget: Spearman's rho of the order of the means, with every difference counted; tau of the "
        "best peak LRs, predicted and chosen, which a coarse grid ties; and how many strategies have a bound. "
        "`theory.csv` has each of them.",
    )
    left_out = list(dict.fromkeys(s for a in theory.agreements.values() for s in a.left_out))
    notes += (f"Without a bound: {listed(left_out)}.",) if left_out else ()
    head = ("task", *map(percent, budgets), "rho", "tau of peak LRs", "strategies")
    return Table("Predicted and measured order", head, tuple(rows), notes)


def _of_noise(agreement: Agreement | None) -> str:
    if agreement is None or agreement.tau is None:
        return MISSING
    return _correlation(agreement.tau) + (f" of {_to(agreement.ceiling)}" if agreement.ceiling else "")


def _to(ends: tuple[float, float]) -> str:
    """A range, as one number where both ends read the same."""
    low, high = map(_two, ends)
    return low if low == high else f"{low} to {high}"


def _two(value: float) -> str:
    return f"{value:.2g}".replace("-", "−")


def _correlation(tau: Interval) -> str:
    """A correlation with its interval: 0.5 (−0.2 to 1)."""
    interval = reach(tau)
    return f"{_two(tau.mean)} ({_two(interval[0])} to {_two(interval[1])})" if interval else _two(tau.mean)


def theory_csv(comparison: Comparison) -> str:
    """One line for each task, budget and strategy that has a bound, in full precision."""
    lines = []
    for (task, budget), agreement in Theory(comparison).agreements.items():
        shared: dict[str, object] = {"task": task, "budget": budget}
        shared |= {"rho": agreement.rho, "tau_peaks": agreement.tau_peaks}
        if tau := agreement.tau:
            shared |= {"tau": tau.mean, "tau_n": tau.n}
            if interval := reach(tau):
                shared |= {"tau_low": interval[0], "tau_high": interval[1]}
        if ceiling := agreement.ceiling:
            shared |= {"ceiling_low": ceiling[0], "ceiling_high": ceiling[1]}
        for line in agreement.lines:
            ranks = {"predicted_rank": line.predicted, "measured_rank": line.measured}
            peaks = {"predicted_peak_lr": line.peak_lr, "chosen_peak_lr": line.selected}
            bound = {"bound_start": line.bound.start, "bound_noise": line.bound.noise}
            lines.append(shared | {"strategy": line.strategy} | bound | ranks | peaks)
    return csv_text(COLUMNS, lines)
