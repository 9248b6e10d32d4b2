"""What the page's script draws: the numbers behind the figures, as plain data for JSON. Nothing is judged here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.analysis.comparison import Comparison, Score
from bench.analysis.diagnostics import Diagnostics
from bench.analysis.history import HistoryInterval
from bench.analysis.results import schedule_of
from bench.report import figures as plots
from bench.report import tables
from bench.report.markup import Figure
from bench.report.numbers import percent

Data = dict[str, Any]

DIGITS, POINTS = 5, 60
"""Significant digits of what is drawn, and points of a course: more than a panel shows."""


def drawing(it: Comparison, figures: Mapping[str, Figure]) -> Data:
    """All charts of a comparison; `figures` by key, as `plots.draw` made them.

    `figures` says of each figure's name how the page draws it; `strategies` have their look, `tasks` their `lines`:
    one a strategy, best first, with what it reached `at` each budget (or None): `peaks` are (peak LR, mean), and a
    `course` (epoch, LR, training loss, test value), means over seeds. `curves` are (progress, factor).
    """
    found = Diagnostics(it)
    places = {f"task {task}": {"kind": "task", "task": i} for i, task in enumerate(it.study.tasks)}
    places |= {key: {"kind": key} for key in ("ranks", "curves")}
    number = {s: i for i, s in enumerate(it.study.strategies)}
    return {
        "figures": {figure.name: places[key] for key, figure in figures.items() if key in places},
        "span": plots.SPAN,
        "strategies": [_strategy(s, i) for s, i in number.items()],
        "tasks": [_task(found, task, number) for task in it.study.tasks],
        "curves": [
            {"name": name, "points": [*map(_short, zip(c["progress"], c["factor"], strict=True))]}
            for name, c in it.study.plan.curves.items()
        ],
    }


def _strategy(name: str, i: int) -> Data:
    look = plots.look(i)
    dash = {"-": "", "--": "6 3", ":": "1.5 2.5", "-.": "6 2.5 1.5 2.5"}[look["linestyle"]]
    return {
        "name": name,
        "schedule": schedule_of(name),
        "colour": look["color"],
        "dash": dash,
        "marker": look["marker"],
    }


def _task(found: Diagnostics, task: str, number: Mapping[str, int]) -> Data:
    it = found.comparison
    facts, budgets = it.study.tasks[task], it.study.budgets(task)
    return {
        "name": task,
        "metric": facts.metric,
        "direction": it.direction(task),
        "epochs": facts.epochs,
        "unit": facts.unit,
        "budgets": budgets,
        "labels": [percent(b) for b in budgets],
        "lines": [
            {
                "strategy": number[s],
                "optimizer": _optimizer(it, task, s),
                "at": [_at(found, task, b, s) for b in budgets],
            }
            for s in it.standing(task)
        ],
    }


def _optimizer(it: Comparison, task: str, strategy: str) -> str:
    tries = (t.optimizer for t in it.study.tries if (t.task, t.strategy) == (task, strategy))
    return next(tries, str(it.study.tasks[task].optimizer))


def _at(found: Diagnostics, task: str, budget: float, strategy: str) -> Data | None:
    verdict = found.comparison.at(task, budget).get(strategy)
    if verdict is None:
        return None
    score, final = verdict.score, verdict.score.final
    mean, half = _short([final.mean, final.half]) if final else (None, None)
    return {
        "mean": mean,
        "half": half,
        "rank": verdict.rank,
        "word": verdict.word,
        "text": tables.outcome(score),
        "chosen": tables.selected_peak_lrs(score),
        "peaks": [[lr, *_short([seen.mean if (seen := score.at_peak(lr)[0]) else None])] for lr in score.peak_lrs],
        "course": _course(found, score, found.comparison.study.tasks[task].epoch_steps),
    }


def _course(found: Diagnostics, score: Score, epoch_steps: int) -> list[list[float | None]]:
    """What the chosen runs went through; nothing of an average, which is only read beside a run."""
    sound = [t for t in score.selected if t.final is not None and t.ride[3] == "none"]
    courses = [course for t in sound if (course := found.course(t))]
    ends = {tuple(s.end for s in course) for course in courses}
    if len(ends) != 1:  # none is told, or evaluations of two kinds
        return []
    points = [*zip(*courses, strict=True)]
    every = math.ceil(len(points) / POINTS)
    kept = [point for i, point in enumerate(points) if (len(points) - 1 - i) % every == 0]
    return [_short([point[0].end / epoch_steps, *_means(point)]) for point in kept]


def _means(seeds: Sequence[HistoryInterval]) -> list[float]:
    columns = ([s.lr, s.train_loss, s.test] for s in seeds)
    return [math.fsum(column) / len(seeds) for column in zip(*columns, strict=True)]


def _short(values: Iterable[float | None]) -> list[float | None]:
    """In few digits; what is not finite is not drawn."""
    return [None if v is None or not math.isfinite(v) else float(f"{v:.{DIGITS}g}") for v in values]
