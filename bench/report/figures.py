"""Figures by matplotlib, as SVG and PDF. A strategy has one colour, marker and dash in all of them."""

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
"""Text and axes. The page replaces it by the colour of its own text."""

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


def draw(it: Comparison, folder: Path) -> dict[str, markup.Figure]:
    """Draw every figure into `folder`; figures by the key that the document asks for."""
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS):
        made = {}
        for key, name, caption, figure in _figures(it):
            made[key] = save(figure, folder, name, caption)
    return made


def save(figure: Figure, folder: Path, name: str, caption: str) -> markup.Figure:
    """Write a figure as SVG and PDF: the same bytes whenever it is the same.

    By the canvases themselves: `Figure.savefig` draws each figure once more, for sizes that are known here.
    """
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    canvas_svg: Any = FigureCanvasSVG  # matplotlib's are untyped
    canvas_pdf: Any = FigureCanvasPdf
    svg, pdf = {"Date": None, "Creator": None}, {"CreationDate": None, "Creator": None, "Producer": None}
    atomic.write(folder / f"{name}.svg", lambda file: canvas_svg(figure).print_svg(file, metadata=svg))
    figure.set_layout_engine("none")  # laid out once, saved twice
    atomic.write(folder / f"{name}.pdf", lambda file: canvas_pdf(figure).print_pdf(file, metadata=pdf))
    return markup.Figure(name, caption)


def _figures(it: Comparison) -> Iterator[tuple[str, str, str, Figure]]:
    """(key, file name, caption, figure) of each figure that there is something for."""
    looks = {s: look(i) for i, s in enumerate(it.study.strategies)}
    if it.study.plan.curves:
        yield "curves", "curves", _curves_caption(it), curves(it.study.plan.curves, looks)
    if any(v.rank is not None for group in it.verdicts.values() for v in group.values()):
        caption = "Rank of each strategy by task and budget, 1 is best; strategies of one run share a rank."
        yield "ranks", "ranks", caption, ranks(it)
    for i, caption, figure in critical_difference.diagrams(ranking.panels(it), INK):
        yield f"distances {i}", f"distances-{i}", caption, figure
    for task in it.study.tasks:
        metric, slug = it.study.tasks[task].metric, _slug(task)
        if any(v.score.final for b in it.study.budgets(task) for v in it.at(task, b).values()):
            caption = (
                f"{task}: final test {metric} against budget, with 95 % intervals over seeds, and against peak LR at "
                "the largest budget, means over seeds. What diverged has no point."
            )
            yield f"task {task}", f"task-{slug}", caption, panels(it, task, looks)


def multiples(
    count: int, columns: int, inches: tuple[float, float], *, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` small panels, `inches` wide and high each, at most so many side by side; and its panels."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(inches[0] * columns, 0.3 + inches[1] * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared).flat)
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels[:count]


def _slug(task: str) -> str:
    """A file name for a task; different tasks get different ones."""
    plain = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")[:40]
    return plain if plain == task else f"{plain}-{digest(task, 4)}"


def look(i: int) -> dict[str, Any]:
    """How the i-th strategy is drawn, in matplotlib's words."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": DASHES[i // len(TEN) % len(DASHES)],
        "markersize": 4.5,
        "linewidth": 1.2,
    }


# ------------------------------------------------------------------------------------------------ per task


def panels(it: Comparison, task: str, looks: Mapping[str, Any]) -> Figure:
    """Final test metric of a task against budget, and against peak LR."""
    from matplotlib.figure import Figure

    figure, facts = Figure(figsize=(10, 3.8), layout="constrained"), it.study.tasks[task]
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
    drawn = against_budget(left, it, task, looks) + against_peak(right, it, task, looks)
    if facts.direction == "min" and min(drawn) > 0 and max(drawn) > SPAN * min(drawn):
        left.set_yscale("log", nonpositive="clip")
        left.yaxis.set_major_formatter(lambda height, _: f"{height:g}")
        left.yaxis.set_minor_formatter(lambda *_: "")
    left.set_ylabel(f"final test {facts.metric}")
    left.set_title(task, loc="left")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", fontsize=7.5)
    return figure


def against_budget(axes: Axes, it: Comparison, task: str, looks: Mapping[str, Any]) -> list[float]:
    """Means with their intervals; strategies stand side by side at each budget. The means drawn."""
    grid, names, drawn = it.study.budgets(task), it.standing(task), []
    for i, s in enumerate(names):
        shift = 0.7 * (i / max(1, len(names) - 1) - 0.5)
        group = [(x + shift, v.score.final) for x, b in enumerate(grid) if (v := it.at(task, b).get(s))]
        seen = [(x, final) for x, final in group if final]
        means, halves = [final.mean for _, final in seen], [final.half or 0.0 for _, final in seen]
        axes.errorbar([x for x, _ in seen], means, halves, label=s, elinewidth=0.8, **looks[s])
        drawn += means
    axes.set_xticks(range(len(grid)), [percent(b) for b in grid])
    facts = it.study.tasks[task]
    axes.set_xlabel(f"budget, of {quantity(facts.epochs, facts.unit)}")
    return drawn


def against_peak(axes: Axes, it: Comparison, task: str, looks: Mapping[str, Any]) -> list[float]:
    """Means by peak LR at the largest budget. The means drawn."""
    drawn: dict[float, list[float]] = {}
    for s, verdict in it.full(task).items():
        peaks = verdict.score.peak_lrs
        means = [seen.mean if (seen := verdict.score.at_peak(lr)[0]) else math.nan for lr in peaks]
        axes.plot(peaks, means, **looks[s])
        for lr, height in zip(peaks, means, strict=True):
            drawn.setdefault(lr, []).append(height)
    axes.set_xscale("log")
    crowded = len(drawn) > 5
    axes.set_xticks(sorted(drawn), [f"{lr:g}" for lr in sorted(drawn)], rotation=90 if crowded else 0)
    axes.minorticks_off()
    axes.set_xlabel(f"peak LR, at {percent(it.study.budgets(task)[-1])}")
    return [height for column in drawn.values() for height in column if not math.isnan(height)]


# -------------------------------------------------------------------------------------------- across tasks


def curves(curves: Mapping[str, Mapping[str, Sequence[float]]], looks: Mapping[str, Any]) -> Figure:
    """LR curves, small multiples: each strategy in its colour over all the others in grey."""
    figure, panels = multiples(len(curves), 4, (1.8, 1.35), shared=True)
    first = {schedule_of(s): looks[s] for s in reversed(list(looks))}
    progress, factor = (  # of all curves, in one line with gaps
        [*chain(*((*curve[axis][::4], math.nan) for curve in curves.values()))] for axis in ("progress", "factor")
    )
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        axes.plot(progress, factor, color="#80808050", linewidth=0.6)
        own = {**first.get(name, look(0)), "marker": "", "linewidth": 1.8}
        axes.plot(curve["progress"], curve["factor"], **own)
        axes.set_title(name, fontsize=7 if len(name) < 28 else 5.5)
    figure.supxlabel("progress", fontsize=8)
    figure.supylabel("factor of peak LR", fontsize=8)
    return figure


def _curves_caption(it: Comparison) -> str:
    drawn = it.study.plan.curves
    closed = [s for s in dict.fromkeys(map(schedule_of, it.study.strategies)) if s not in drawn]
    more = f" Not drawn, since they react to training: {', '.join(closed)}." if closed else ""
    return f"LR curves at the longest budget, one strategy in colour over the others.{more}"


def ranks(it: Comparison) -> Figure:
    """Heatmap of ranks: strategies down, tasks and budgets across."""
    import numpy as np
    from matplotlib.figure import Figure

    names = it.study.strategies
    columns = [(task, b) for task in it.study.tasks for b in it.study.budgets(task)]
    found = [[v.rank if (v := it.at(*column).get(s)) else None for column in columns] for s in names]
    rank_KC = np.array([[math.nan if rank is None else rank for rank in line] for line in found])
    share_KC = (rank_KC - 1) / np.maximum(1, np.isfinite(rank_KC).sum(0) - 1)  # 0 best, 1 last of its column
    label = max(2.6, 0.4 + 0.067 * max(map(len, names)))  # inches
    head = 0.068 * max(map(len, it.study.tasks))  # inches, of a name above its columns, which is slanted by 30°
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
    _task_heads(axes, it)
    return figure


def _task_heads(axes: Axes, it: Comparison) -> None:
    """Names of the tasks above their columns, and a line between tasks."""
    start = 0
    for task in it.study.tasks:
        end = start + len(it.study.budgets(task))
        axes.text(start - 0.4, -0.7, task, fontsize=7.5, rotation=30, ha="left", va="bottom")
        if start:
            axes.axvline(start - 0.5, color=INK, linewidth=1)
        start = end
