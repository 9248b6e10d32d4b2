"""Predicted against measured final training losses, as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.analysis.prediction.predictor import Prediction, Predictor
from bench.report import figures
from bench.report.answer_figures import INK
from bench.report.numbers import percent
from bench.report.prediction.words import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(p: Predictor, predictions: Sequence[Prediction], measured: Measured, folder: Path) -> Path:
    """Write the figure as SVG and PDF; the path of the former."""
    import matplotlib as mpl

    name = f"prediction-{figures.slug(p.readings.task)}"
    with mpl.rc_context(figures.SETTINGS):
        figures.save(panels(p, predictions, measured), folder, name, "")
    return folder / f"{name}.svg"


def panels(p: Predictor, predictions: Sequence[Prediction], measured: Measured) -> Figure:
    """Left: held-out predictions against measurements. Right: curves, and predictions with their intervals."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys([*p.readings.schedules, *(v.schedule for v in predictions)]))
    looks = {name: figures.look(i) for i, name in enumerate(names)}
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    scatter, right = figure.subplots(1, 2)
    for h in p.best.held_out:
        scatter.plot([h.measured], [h.predicted], **{**looks[h.schedule], "linestyle": "none"})
    ends = [f(h.measured for h in p.best.held_out) for f in (min, max)]
    scatter.plot(ends, ends, color=INK, linewidth=0.8)
    scatter.set_xlabel("measured final training loss")
    scatter.set_ylabel("predicted, held out")
    scatter.set_title(f"{p.readings.task}: {p.best.law.name} law", loc="left")
    _by_budget(right, p, predictions, measured, looks)
    handles = [right.plot([], [], label=fill(name, 30), **looks[name])[0] for name in names]
    figure.legend(handles=handles, loc="outside right center", fontsize=7.5)
    return figure


def _by_budget(
    axes: Axes, p: Predictor, predictions: Sequence[Prediction], measured: Measured, looks: Mapping[str, dict[str, Any]]
) -> None:
    budgets = sorted({*p.budgets, *(v.budget for v in predictions)})
    for i, (name, own) in enumerate(looks.items()):
        shift = 0.7 * (i / max(1, len(looks) - 1) - 0.5)
        for r in (r for r in p.readings.recorded if r.schedule == name):
            axes.plot([budgets.index(r.budget) + shift], [float(r.finals.mean())], **own)
        for v in (v for v in predictions if v.schedule == name):
            x = budgets.index(v.budget) + shift
            axes.errorbar([x], [v.loss], [v.half], elinewidth=0.8, **{**own, "fillstyle": "none"})
            if (loss := measured.get((name, v.total))) is not None:
                axes.plot([x], [loss], **own)
    axes.set_xticks(range(len(budgets)), [percent(b) for b in budgets])
    axes.set_xlabel("budget; full: measured, hollow: predicted")
    axes.set_ylabel("final training loss")
