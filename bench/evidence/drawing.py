"""What the page's script draws: the numbers behind the figures, as plain data for JSON. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.evidence import plots, tables
from bench.evidence.compare import Comparison, Score, Verdict
from bench.evidence.markup import Figure
from bench.evidence.notation import percent
from bench.evidence.study import schedule_of

Data = dict[str, Any]

DIGITS = 5
"""Significant digits of what is drawn; a screen shows three."""


def drawing(it: Comparison, figures: Mapping[str, Figure]) -> Data:
    """All charts of a comparison; `figures` by key, as `plots.draw` made them.

    `figures` says of each figure's name how the page draws it; `strategies` have their look, `tasks` their `lines`:
    one a strategy, best first, with what it reached `at` each budget (or None). `curves` are (progress, factor).
    """
    places = {f"task {task}": {"kind": "task", "task": i} for i, task in enumerate(it.study.tasks)}
    places |= {key: {"kind": key} for key in ("ranks", "curves")}
    number = {s: i for i, s in enumerate(it.study.strategies)}
    return {
        "figures": {figure.name: places[key] for key, figure in figures.items() if key in places},
        "span": plots.SPAN,
        "strategies": [_strategy(s, i) for s, i in number.items()],
        "tasks": [_task(it, task, number) for task in it.study.tasks],
        "curves": [
            {"name": name, "points": [*map(list, zip(_round(c["progress"]), _round(c["factor"]), strict=True))]}
            for name, c in it.study.plan["curves"].items()
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


def _task(it: Comparison, task: str, number: Mapping[str, int]) -> Data:
    facts, budgets = it.study.tasks[task], it.study.budgets(task)
    return {
        "name": task,
        "metric": facts["metric"],
        "direction": it.direction(task),
        "epochs": facts["epochs"],
        "unit": facts.get("unit", "epochs"),
        "budgets": budgets,
        "labels": [percent(b) for b in budgets],
        "lines": [
            {"strategy": number[s], "optimizer": _optimizer(it, task, s), "at": [_at(it, task, b, s) for b in budgets]}
            for s in it.standing(task)
        ],
    }


def _optimizer(it: Comparison, task: str, strategy: str) -> str:
    tries = (t.optimizer for t in it.study.tries if (t.task, t.strategy) == (task, strategy))
    return next(tries, str(it.study.tasks[task]["optimizer"]))


def _at(it: Comparison, task: str, budget: float, strategy: str) -> Data | None:
    verdict: Verdict | None = it.at(task, budget).get(strategy)
    if verdict is None:
        return None
    score, final = verdict.score, verdict.score.final
    return {
        "mean": final and _short(final.mean),
        "half": _short(final.half) if final and final.half is not None else None,
        "rank": verdict.rank,
        "word": verdict.word,
        "text": tables.outcome(score),
        "chosen": tables.chosen(score),
        "peaks": [[lr, _peak(score, lr)] for lr in score.peak_lrs],
        "course": [],
    }


def _peak(score: Score, peak_lr: float) -> float | None:
    mean, _, _ = score.at_peak(peak_lr)
    return mean and _short(mean.mean)


def _round(values: Sequence[float]) -> list[float]:
    return [*map(_short, values)]


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
