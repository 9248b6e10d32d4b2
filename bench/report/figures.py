"""Figures by matplotlib, as SVG and PDF. A strategy has the same colour, marker and dash in all of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis import ranking
from bench.analysis.comparison import Comparison
from bench.analysis.results import schedule_of
from bench.contract import digest
from bench.ledger import atomic
from bench.report import critical_difference, markup
from bench.report.numbers import percent, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEN = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
COLOURS = (*TEN, "#117733", "#cc6677", "#44aa99")
"""Ten colours that people with colour-blindness tell apart (Petroff, arXiv:2107.02270), and three of Paul Tol's."""
MARKERS, DASHES = "osD^v<>PXph*d", ("-", "--", ":", "-.")
SPAN = 20
"""A metric to be minimised is drawn on a logarithmic axis if its largest mean is more than this times the smallest."""
INK = "#010203"
"""Colour of text and axes. The page replaces it by the colour of its own text."""

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "glideslope",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "axes.grid": True,
    "grid.color": "#80808040",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
    "text.parse_math": False,  # names are users' text
}


def draw(comparison: Comparison, folder: Path) -> dict[str, markup.Figure]:
    """Draw every figure into `folder`. Returns the figures by the key that `document` looks them up with."""
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS):
        return {key: save(figure, folder, name, caption) for key, name, caption, figure in _figures(comparison)}


def save(figure: Figure, folder: Path, name: str, caption: str) -> markup.Figure:
    """Write a figure as SVG and PDF. The same figure gives the same bytes."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    # The canvases print directly, for `Figure.savefig` would draw each figure a second time to find its size.
    canvas_svg: Any = FigureCanvasSVG  # matplotlib does not type them
    canvas_pdf: Any = FigureCanvasPdf
    svg, pdf = {"Date": None, "Creator": None}, {"CreationDate": None, "Creator": None, "Producer": None}
    atomic.write(folder / f"{name}.svg", lambda file: canvas_svg(figure).print_svg(file, metadata=svg))
    figure.set_layout_engine("none")  # laid out once, saved twice
    atomic.write(folder / f"{name}.pdf", lambda file: canvas_pdf(figure).print_pdf(file, metadata=pdf))
    return markup.Figure(name, caption)


def _figures(comparison: Comparison) -> Iterator[tuple[str, str, str, Figure]]:
    """(key, file name, caption, figure) of each figure that has something to show."""
    study = comparison.study
    looks = {s: look(i) for i, s in enumerate(study.strategies)}
    if study.plan.curves:
        yield "curves", "curves", _curves_caption(comparison), curves(study.plan.curves, looks)
    if any(v.rank is not None for group in comparison.verdicts.values() for v in group.values()):
        caption = "Rank of each strategy by task and budget, 1 is best; strategies of one run share a rank."
        yield "ranks", "ranks", caption, ranks(comparison)
    for i, caption, figure in critical_difference.diagrams(ranking.panels(comparison), INK):
        yield f"distances {i}", f"distances-{i}", caption, figure
    for task, facts in study.tasks.items():
        if any(v.score.final for b in study.budgets(task) for v in comparison.at(task, b).values()):
            caption = (
                f"{task}: final test {facts.metric} against budget, with 95 % intervals over seeds, and against peak "
                "LR at the largest budget, means over seeds. What diverged has no point."
            )
            yield f"task {task}", f"task-{_slug(task)}", caption, panels(comparison, task, looks)


def multiples(
    count: int, columns: int, inches: tuple[float, float], *, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` small panels, at most `columns` in a row, `inches` = (width, height) each; and its panels."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(inches[0] * columns, 0.3 + inches[1] * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared).flat)
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels[:count]


def _slug(task: str) -> str:
    """A file name for a task, different for different tasks."""
    plain = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")[:40]
    return plain if plain == task else f"{plain}-{digest(task, 4)}"


def look(i: int) -> dict[str, Any]:
    """Line style of the i-th strategy, as arguments of matplotlib."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": DASHES[i // len(TEN) % len(DASHES)],
        "markersize": 4.5,
        "linewidth": 1.2,
    }


# ------------------------------------------------------------------------------------------------ per task


def panels(comparison: Comparison, task: str, looks: Mapping[str, Any]) -> Figure:
    """Final test metric of a task against budget, and against peak LR."""
    from matplotlib.figure import Figure

    figure, facts = Figure(figsize=(10, 3.8), layout="constrained"), comparison.study.tasks[task]
    by_budget, by_peak = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
    means = against_budget(by_budget, comparison, task, looks) + against_peak(by_peak, comparison, task, looks)
    if facts.direction == "min" and min(means) > 0 and max(means) > SPAN * min(means):
        by_budget.set_yscale("log", nonpositive="clip")
        by_budget.yaxis.set_major_formatter(lambda height, _: f"{height:g}")
        by_budget.yaxis.set_minor_formatter(lambda *_: "")
    by_budget.set_ylabel(f"final test {facts.metric}")
    by_budget.set_title(task, loc="left")
    handles, names = by_budget.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", fontsize=7.5)
    return figure


def against_budget(axes: Axes, comparison: Comparison, task: str, looks: Mapping[str, Any]) -> list[float]:
    """Draw means with their intervals, strategies side by side at each budget. Returns the means."""
    budgets, names = comparison.study.budgets(task), comparison.standing(task)
    heights: list[float] = []
    for i, s in enumerate(names):
        shift = 0.7 * (i / max(1, len(names) - 1) - 0.5)
        points = []
        for x, budget in enumerate(budgets):
            verdict = comparison.at(task, budget).get(s)
            if verdict and verdict.score.final:
                points.append((x + shift, verdict.score.final))
        means, halves = [final.mean for _, final in points], [final.half or 0.0 for _, final in points]
        axes.errorbar([x for x, _ in points], means, halves, label=s, elinewidth=0.8, **looks[s])
        heights += means
    axes.set_xticks(range(len(budgets)), [percent(b) for b in budgets])
    facts = comparison.study.tasks[task]
    axes.set_xlabel(f"budget, of {quantity(facts.epochs, facts.unit)}")
    return heights


def against_peak(axes: Axes, comparison: Comparison, task: str, looks: Mapping[str, Any]) -> list[float]:
    """Draw means by peak LR at the largest budget. Returns the means."""
    heights: dict[float, list[float]] = {}
    for s, verdict in comparison.full(task).items():
        peaks = verdict.score.peak_lrs
        finals = [verdict.score.at_peak(lr)[0] for lr in peaks]
        means = [final.mean if final else math.nan for final in finals]
        axes.plot(peaks, means, **looks[s])
        for lr, mean in zip(peaks, means, strict=True):
            heights.setdefault(lr, []).append(mean)
    axes.set_xscale("log")
    crowded = len(heights) > 5
    axes.set_xticks(sorted(heights), [f"{lr:g}" for lr in sorted(heights)], rotation=90 if crowded else 0)
    axes.minorticks_off()
    axes.set_xlabel(f"peak LR, at {percent(comparison.study.budgets(task)[-1])}")
    return [height for column in heights.values() for height in column if not math.isnan(height)]


# -------------------------------------------------------------------------------------------- across tasks


def curves(curves: Mapping[str, Mapping[str, Sequence[float]]], looks: Mapping[str, Any]) -> Figure:
    """LR curves as small multiples: each schedule in its colour, over all the others in grey."""
    figure, panels = multiples(len(curves), 4, (1.8, 1.35), shared=True)
    first = {schedule_of(s): looks[s] for s in reversed(list(looks))}
    # All curves behind a panel are one line, with gaps between them.
    progress = [*chain(*((*curve["progress"][::4], math.nan) for curve in curves.values()))]
    factor = [*chain(*((*curve["factor"][::4], math.nan) for curve in curves.values()))]
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        axes.plot(progress, factor, color="#80808050", linewidth=0.6)
        own = {**first.get(name, look(0)), "marker": "", "linewidth": 1.8}
        axes.plot(curve["progress"], curve["factor"], **own)
        axes.set_title(name, fontsize=7 if len(name) < 28 else 5.5)
    figure.supxlabel("progress", fontsize=8)
    figure.supylabel("factor of peak LR", fontsize=8)
    return figure


def _curves_caption(comparison: Comparison) -> str:
    curves = comparison.study.plan.curves
    names = dict.fromkeys(map(schedule_of, comparison.study.strategies))
    closed_loop = [name for name in names if name not in curves]
    more = f" Not drawn, since they react to training: {', '.join(closed_loop)}." if closed_loop else ""
    return f"LR curves at the longest budget, one strategy in colour over the others.{more}"


def ranks(comparison: Comparison) -> Figure:
    """Heatmap of ranks: strategies down, tasks and budgets across."""
    import numpy as np
    from matplotlib.figure import Figure

    study, names = comparison.study, comparison.study.strategies
    columns = [(task, b) for task in study.tasks for b in study.budgets(task)]
    rank_KC = np.array([[_rank(comparison, task, b, s) for task, b in columns] for s in names])
    share_KC = (rank_KC - 1) / np.maximum(1, np.isfinite(rank_KC).sum(0) - 1)  # 0 best, 1 last of its column
    # In inches: names of strategies, and names of tasks, which are slanted by 30° above their columns.
    label = max(2.6, 0.4 + 0.067 * max(map(len, names)))
    head = 0.068 * max(map(len, study.tasks))
    size = label + max(1.5, 0.36 * len(columns), 0.36 + 0.87 * head), 1.1 + head / 2 + 0.27 * len(names)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share_KC, cmap="cividis_r", aspect="auto", vmin=0, vmax=1)
    for (y, x), rank in np.ndenumerate(rank_KC):
        if not math.isnan(rank):
            ink = "white" if share_KC[y, x] > 0.5 else "black"
            axes.text(x, y, f"{rank:.3g}", ha="center", va="center", fontsize=7, color=ink)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xticks(range(len(columns)), [percent(b) for _, b in columns], rotation=90, fontsize=7)
    axes.grid(visible=False)
    _task_heads(axes, comparison)
    return figure


def _rank(comparison: Comparison, task: str, budget: float, strategy: str) -> float:
    verdict = comparison.at(task, budget).get(strategy)
    return math.nan if verdict is None or verdict.rank is None else verdict.rank


def _task_heads(axes: Axes, comparison: Comparison) -> None:
    """Write the names of the tasks above their columns, and draw a line between tasks."""
    start = 0
    for task in comparison.study.tasks:
        end = start + len(comparison.study.budgets(task))
        axes.text(start - 0.4, -0.7, task, fontsize=7.5, rotation=30, ha="left", va="bottom")
        if start:
            axes.axvline(start - 0.5, color=INK, linewidth=1)
        start = end
