"""Figures by matplotlib, as SVG and PDF. A strategy has the same colour, marker and dash in all of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis import ranking
from bench.analysis.comparison import Comparison, Verdict
from bench.analysis.protocol.answer import Answer
from bench.analysis.protocol.effect_sizes import THRESHOLDS, EffectSizes
from bench.analysis.results import schedule_of
from bench.contract import digest
from bench.ledger import atomic
from bench.report import answer_figures, critical_difference, markup
from bench.report.answer_figures import INK
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


def draw(result: Answer, folder: Path) -> dict[str, markup.Figure]:
    """Draw every figure into `folder`. Returns the figures by the key that `document` looks them up with."""
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS):
        return {key: save(figure, folder, name, caption) for key, name, caption, figure in _figures(result)}


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


def _figures(result: Answer) -> Iterator[tuple[str, str, str, Figure]]:
    """(key, file name, caption, figure) of each figure that has something to show."""
    comparison, study = result.comparison, result.comparison.study
    looks = {s: look(i) for i, s in enumerate(study.strategies)}
    yield from answer_figures.pictures(result)
    if result.effect_sizes:
        yield "profiles", "profiles", _about_profiles(study.reference), profiles(result.effect_sizes, looks)
    if study.plan.curves:
        yield "curves", "curves", _curves_caption(comparison), curves(study.plan.curves, looks)
    if (panel := ranking.widest(comparison)) and panel.test:
        caption = critical_difference.caption(panel, panel.test)
        yield "distances", "distances", caption, critical_difference.diagram(panel, INK)
    for task, facts in study.tasks.items():
        if any(v.score.final for b in study.budgets(task) for v in comparison.at(task, b).values()):
            caption = (
                f"{task}: final test {facts.metric} against budget, with 95 % intervals over seeds, and against peak "
                "LR at the largest budget, means over seeds. What diverged has no point."
            )
            yield f"task {task}", f"task-{slug(task)}", caption, panels(comparison, task, looks)
        if study.peak_lrs(task) > 1 and any(comparison.at(task, b) for b in study.budgets(task)):
            caption = (
                f"{task}: mean final test {facts.metric} at every peak LR and budget; darker is better within a "
                "budget. A frame marks the peak LR that the control values choose."
            )
            yield f"peaks {task}", f"peaks-{slug(task)}", caption, by_peak(comparison, task)


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


def slug(task: str) -> str:
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


def by_peak(comparison: Comparison, task: str) -> Figure:
    """Heat map of final values: strategies down, peak LRs within budgets across. Grey, as it compares no strategies."""
    from matplotlib.figure import Figure

    budgets, names = comparison.study.budgets(task), comparison.standing(task)
    groups = [comparison.at(task, b) for b in budgets]
    peaks = sorted({lr for group in groups for v in group.values() for lr in v.score.peak_lrs})
    name = max(1.2, 0.075 * max(map(len, names)))
    figure = Figure(figsize=(name + 0.47 * len(peaks) * len(budgets), 0.9 + 0.22 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for x, group in enumerate(groups):
        _peaks_of_budget(axes, comparison, task, group, (peaks, names, x * len(peaks)))
        axes.text((x + 0.5) * len(peaks) - 0.5, -0.7, percent(budgets[x]), ha="center", va="bottom", fontsize=8)
        if x:
            axes.axvline(x * len(peaks) - 0.5, color=INK, linewidth=1)
    axes.set_xlim(-0.5, len(peaks) * len(budgets) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xticks(range(len(peaks) * len(budgets)), [f"{lr:g}" for lr in peaks] * len(budgets), fontsize=7)
    answer_figures.bare(axes)
    axes.set_xlabel("peak LR", fontsize=8)
    return figure


def _peaks_of_budget(
    axes: Axes, comparison: Comparison, task: str, group: Mapping[str, Verdict], place: tuple[Any, Any, int]
) -> None:
    """Draw the columns of one budget; `place` is (peak LRs, strategies, first column)."""
    from matplotlib.patches import Rectangle

    peaks, names, start = place
    sign = 1.0 if comparison.direction(task) == "max" else -1.0
    outcomes = {(s, lr): group[s].score.at_peak(lr) for s in group for lr in group[s].score.peak_lrs}
    means = sorted(sign * mean.mean for mean, *_ in outcomes.values() if mean)
    low, high = (means[len(means) // 5], means[-1]) if means else (0.0, 0.0)  # the worst fifth is all white
    for (s, lr), (mean, diverged, _) in outcomes.items():
        x, y = start + peaks.index(lr), names.index(s)
        share = min(1.0, max(0.0, (sign * mean.mean - low) / (high - low))) if mean and high > low else 0.0
        grey = str(round(1 - 0.6 * share, 3))
        axes.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, facecolor=grey, edgecolor="none"))
        text = "×" if diverged else f"{mean.mean:#.3g}" if mean else ""
        axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color="white" if share > 0.75 else "black")
        if lr == group[s].score.pick:
            axes.add_patch(Rectangle((x - 0.44, y - 0.42), 0.88, 0.84, fill=False, edgecolor=INK, linewidth=1.3))


# -------------------------------------------------------------------------------------------- across tasks


def profiles(sizes: Sequence[EffectSizes], looks: Mapping[str, Any]) -> Figure:
    """Performance profiles: shares of runs by their lead over the reference."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for size in sizes:
        axes.plot(THRESHOLDS, size.profile, label=size.strategy, **{**looks[size.strategy], "markevery": 8})
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("lead over the reference, in margins")
    axes.set_ylabel("share of runs beyond it")
    figure.legend(loc="outside right center", fontsize=7.5)
    return figure


def _about_profiles(reference: str) -> str:
    return (
        f"Performance profiles: the share of runs whose lead over {reference} is larger than so many margins, a mean "
        "over tasks; the higher the better. Strategies that ran other tasks can't be compared here."
    )


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
