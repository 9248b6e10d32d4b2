"""The two pictures of the answer: effects of strategies by budget, and the best one's lead in each task."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.analysis.protocol.answer import Answer
from bench.analysis.protocol.primary import Hypothesis
from bench.report.numbers import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""Colour of text and axes. The page replaces it by the colour of its own text."""

BETTER, WORSE, GREY = "#2272b4", "#c8581a", "#808080"
"""Better and worse than the reference, in pictures, and undecided. They differ to colour-blind eyes, too, and in print
the signs of the numbers tell them apart."""

WIDTH, NAME = 4.7, 24
"""Width of a picture in inches, which a phone shows whole, and most characters in a line of a name."""

MOST = 2.0
"""Least effect, in margins, of the deepest colour."""


class EffectColumn(NamedTuple):
    """A column of the picture of effects."""

    head: str
    tests: dict[tuple[str, str], Hypothesis]  # by strategy and group


def pictures(answer: Answer) -> Iterator[tuple[str, str, str, Figure]]:
    """(key, file name, caption, figure) of each picture that has something to show."""
    from matplotlib.figure import Figure

    if not answer.pooled:
        return
    high, low = _height(answer, answer.pooled), 0.9 + 0.3 * (len(answer.forest) + 1)
    alone = Figure(figsize=(WIDTH, high), layout="constrained")
    effects(alone.add_subplot(), answer)
    yield "effects", "effects", _about_effects(answer), alone
    if answer.forest:
        beside = Figure(figsize=(WIDTH, low), layout="constrained")
        forest(beside.add_subplot(), answer)
        yield "forest", "forest", _about_forest(answer), beside
    count = 2 if answer.forest else 1
    both = Figure(figsize=(WIDTH * count, max(high, low)), layout="constrained", facecolor="white")
    axes = both.subplots(1, count, squeeze=False)[0]
    effects(axes[0], answer)
    if answer.forest:
        forest(axes[1], answer)
    yield "answer", "answer", "", both


# --------------------------------------------------------------------------------------------------- effects


def columns(answer: Answer) -> list[EffectColumn]:
    """One for each budget with a test, and the primary test; a budget that is all of it has no column of its own."""
    alone = [b for b in answer.budgets if answer.by_budget[b] and answer.declared != (b,)]
    single = [EffectColumn(percent(b), answer.by_budget[b]) for b in alone]
    pooled = {(h.strategy, h.group): h for h in answer.pooled}
    head = percent(answer.declared[0]) if len(answer.declared) == 1 else "pooled"
    return [*single, EffectColumn(f"{head},\ndeclared" if single else head, pooled)]


def size(h: Hypothesis) -> float:
    """Effect in margins; where a task states none, standardised."""
    return h.effect.mean if h.effect else h.flip.effect


def effects(axes: Axes, answer: Answer) -> None:
    """Draw effects: strategies down, best first, budgets across, the primary test last."""
    from matplotlib.colors import LinearSegmentedColormap

    across, rows = columns(answer), [(h.strategy, h.group) for h in answer.pooled]
    every = [h for column in across for h in column.tests.values()]
    most = max(MOST, *(abs(size(h)) for h in every)) if all(h.effect for h in answer.pooled) else 1.0
    colours = LinearSegmentedColormap.from_list("effects", [WORSE, "#ffffff", BETTER])
    for x, column in enumerate(across):
        for y, row in enumerate(rows):
            if h := column.tests.get(row):
                share = max(-1.0, min(1.0, size(h) / most))
                _cell(axes, (x, y), colours((share + 1) / 2), h)
    axes.set_xlim(-0.5, len(across) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    several = len({group for _, group in rows}) > 1
    names = [f"{strategy} ({group})" if several else strategy for strategy, group in rows]
    axes.set_yticks(range(len(rows)), ["\n".join(textwrap.wrap(name, NAME)) for name in names], fontsize=8)
    axes.set_xticks(range(len(across)), [column.head for column in across], fontsize=8)
    bare(axes)
    axes.xaxis.tick_top()
    if len(across) > 1:
        axes.axvline(len(across) - 1.5, color=GREY, linewidth=1.5)
    unit = "margins" if all(h.effect for h in answer.pooled) else "units of their spread"
    title = textwrap.fill(f"Lead over {answer.comparison.study.reference}, in {unit}", 38) + "\n(framed: significant)"
    axes.set_title(title, fontsize=9, fontweight="bold", loc="left")


def _cell(axes: Axes, place: tuple[int, int], colour: tuple[float, ...], h: Hypothesis) -> None:
    from matplotlib.patches import Rectangle

    (x, y), ink = place, "white" if 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 0.5 else "black"
    axes.add_patch(Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, facecolor=colour, edgecolor="none"))
    decimals = 1 if h.effect and abs(size(h)) >= 0.1 else 2
    text = f"{size(h):+.{decimals}f}".replace("-", "−")
    if h.significant:
        frame: dict[str, Any] = {"fill": False, "edgecolor": INK, "linewidth": 2}
        axes.add_patch(Rectangle((x - 0.46, y - 0.43), 0.92, 0.86, **frame))
    axes.text(x, y, text, ha="center", va="center", fontsize=8, color=ink, fontweight="bold" if h.significant else None)


def bare(axes: Axes) -> None:
    """No frame, grid or tick marks."""
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _height(answer: Answer, pooled: Sequence[Hypothesis]) -> float:
    lines = sum(max(1, len(textwrap.wrap(h.strategy, NAME))) for h in pooled)
    return 0.9 + 0.06 * len(pooled) + 0.17 * max(lines, len(pooled) + 2)


def _about_effects(answer: Answer) -> str:
    unit = "in margins" if all(h.effect for h in answer.pooled) else "from −1 to 1, for want of stated margins"
    return (
        f"Mean lead over {answer.comparison.study.reference}, {unit}; blue is better, orange worse. Declared: the "
        "primary test, over all its budgets; before it, each budget alone. No field: not tested."
    )


# ---------------------------------------------------------------------------------------------------- forest


def forest(axes: Axes, answer: Answer) -> None:
    """Draw the best strategy's lead in each task, with intervals, and the pooled one below."""
    best, lines = answer.best, answer.forest
    pooled = best.effect if best and best.effect else None
    leads = [line.lead for line in lines] + ([pooled] if pooled else [])
    names = [line.task for line in lines] + (["all tasks"] if pooled else [])
    verdict = {"better": BETTER, "worse": WORSE}.get(best.word if best else "", GREY)
    axes.axvspan(-1, 1, color="#80808030", linewidth=0)
    axes.axvline(0, color=GREY, linewidth=1)
    for y, lead in enumerate(leads):
        all_tasks = y == len(lines)
        axes.errorbar(
            [lead.mean],
            [y],
            xerr=[[lead.half or 0.0]] * 2,
            color=verdict if all_tasks else INK,
            marker="D" if all_tasks else "o",
            markersize=7 if all_tasks else 5,
            linewidth=2.4 if all_tasks else 1.4,
        )
        half = f" ± {lead.half:.1f}" if lead.half is not None else ""
        text = f"{lead.mean:+.1f}{half}".replace("-", "−")
        axes.text(1.01, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    if pooled:
        axes.axhline(len(lines) - 0.5, color=GREY, linewidth=0.8)
    axes.set_ylim(len(leads) - 0.5, -0.5)
    axes.set_yticks(range(len(leads)), ["\n".join(textwrap.wrap(name, NAME)) for name in names], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("margins; to the right is better", fontsize=8)
    name = textwrap.shorten(best.strategy, 2 * NAME, placeholder="…") if best else ""
    title = f"{name} over {answer.comparison.study.reference}, by task"
    axes.set_title(title, fontsize=9, fontweight="bold", loc="left")


def _about_forest(answer: Answer) -> str:
    best = answer.best.strategy if answer.best else ""
    return (
        f"{best} over {answer.comparison.study.reference} in each task and over all, with 95 % intervals. Shaded: less "
        "than the smallest difference worth having."
    )
