"""Numbers that the page's script draws, as plain data for JSON. Nothing is judged here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.analysis.comparison import Comparison, Score
from bench.analysis.diagnostics import Diagnostics
from bench.analysis.history import HistoryInterval
from bench.analysis.results import schedule_of
from bench.report import tables
from bench.report.figures import SPAN, look
from bench.report.markup import Figure
from bench.report.numbers import percent

Data = dict[str, Any]

DIGITS, POINTS = 5, 60
"""Significant digits of the numbers, and most points of a course: more than a panel can show."""


def drawing(comparison: Comparison, figures: Mapping[str, Figure]) -> Data:
    """All charts of a comparison; `figures` by key, as `figures.draw` returns them.

    - `figures`: for each figure's name, the chart that the page shows in its place.
    - `strategies`: name, schedule and look of each strategy.
    - `tasks`: facts of each task, and its `lines`: one for each strategy, best first. `at` holds the results at each
      budget, or None; in these, `peaks` are pairs (peak LR, mean), and `course` is a list of points (epoch, LR,
      training loss, test value), means over seeds.
    - `curves`: LR curves, as points (progress, factor).
    """
    study, diagnostics = comparison.study, Diagnostics(comparison)
    charts = {f"task {task}": {"kind": "task", "task": i} for i, task in enumerate(study.tasks)}
    charts["curves"] = {"kind": "curves"}
    number = {s: i for i, s in enumerate(study.strategies)}
    return {
        "figures": {figure.name: charts[key] for key, figure in figures.items() if key in charts},
        "span": SPAN,
        "strategies": [_strategy(s, i) for s, i in number.items()],
        "tasks": [_task(diagnostics, task, number) for task in study.tasks],
        "curves": [
            {"name": name, "points": [*map(_short, zip(curve["progress"], curve["factor"], strict=True))]}
            for name, curve in study.plan.curves.items()
        ],
    }


def _strategy(name: str, i: int) -> Data:
    style = look(i)
    dash = {"-": "", "--": "6 3", ":": "1.5 2.5", "-.": "6 2.5 1.5 2.5"}[style["linestyle"]]
    return {
        "name": name,
        "schedule": schedule_of(name),
        "colour": style["color"],
        "dash": dash,
        "marker": style["marker"],
    }


def _task(diagnostics: Diagnostics, task: str, number: Mapping[str, int]) -> Data:
    comparison = diagnostics.comparison
    facts, budgets = comparison.study.tasks[task], comparison.study.budgets(task)
    lines = [
        {
            "strategy": number[s],
            "optimizer": _optimizer(comparison, task, s),
            "at": [_at(diagnostics, task, b, s) for b in budgets],
        }
        for s in comparison.standing(task)
    ]
    return {
        "name": task,
        "metric": facts.metric,
        "direction": comparison.direction(task),
        "epochs": facts.epochs,
        "unit": facts.unit,
        "budgets": budgets,
        "labels": [percent(b) for b in budgets],
        "lines": lines,
    }


def _optimizer(comparison: Comparison, task: str, strategy: str) -> str:
    tries = (t.optimizer for t in comparison.study.tries if (t.task, t.strategy) == (task, strategy))
    return next(tries, str(comparison.study.tasks[task].optimizer))


def _at(diagnostics: Diagnostics, task: str, budget: float, strategy: str) -> Data | None:
    """Results of a strategy at one budget."""
    verdict = diagnostics.comparison.at(task, budget).get(strategy)
    if verdict is None:
        return None
    score, final = verdict.score, verdict.score.final
    mean, half = _short([final.mean, final.half]) if final else (None, None)
    peaks = []
    for lr in score.peak_lrs:
        at_peak = score.at_peak(lr)[0]
        peaks.append([lr, *_short([at_peak.mean if at_peak else None])])
    return {
        "mean": mean,
        "half": half,
        "rank": verdict.rank,
        "word": verdict.word,
        "text": tables.outcome(score),
        "chosen": tables.selected_peak_lrs(score),
        "peaks": peaks,
        "course": _course(diagnostics, score, diagnostics.comparison.study.tasks[task].epoch_steps),
    }


def _course(diagnostics: Diagnostics, score: Score, epoch_steps: int) -> list[list[float | None]]:
    """Mean course of the selected runs; empty for an average of weights, which has no training loss of its own."""
    sound = [t for t in score.selected if t.final is not None and t.ride[3] == "none"]
    courses = [course for t in sound if (course := diagnostics.course(t))]
    ends = {tuple(interval.end for interval in course) for course in courses}
    if len(ends) != 1:  # no course is recorded, or the seeds were evaluated at different updates
        return []
    points = [*zip(*courses, strict=True)]
    every = math.ceil(len(points) / POINTS)
    thinned = points[::-1][::every][::-1]  # the last point stays
    return [_short([point[0].end / epoch_steps, *_means(point)]) for point in thinned]


def _means(seeds: Sequence[HistoryInterval]) -> list[float]:
    columns = ([s.lr, s.train_loss, s.test] for s in seeds)
    return [math.fsum(column) / len(seeds) for column in zip(*columns, strict=True)]


def _short(values: Iterable[float | None]) -> list[float | None]:
    """The values in few digits; None for values that are not finite, which are not drawn."""
    return [None if v is None or not math.isfinite(v) else float(f"{v:.{DIGITS}g}") for v in values]
