"""Critical-difference diagrams (Demsar 2006): mean ranks on a line, and bars over strategies that do not differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.ranking import RankPanel
from bench.analysis.stats.tests import Friedman

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def caption(panel: RankPanel, test: Friedman) -> str:
    """Caption of the diagram of a tested panel."""
    return (
        f"Mean ranks of {len(panel.strategies)} strategies at the largest budgets of {test.tasks} tasks, 1 is best. A "
        f"bar joins those that Nemenyi's test cannot tell apart, which lie closer than {test.distance:.2f}."
    )


def diagram(panel: RankPanel, ink: str) -> Figure:
    """The diagram of one panel; `ink` is the colour of its text."""
    import scikit_posthocs
    from matplotlib.figure import Figure

    rank_TK, names = np.asarray(panel.full), list(panel.strategies)
    figure = Figure(figsize=(10, 1.0 + 0.13 * len(panel.strategies)), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=False)
    p_KK = scikit_posthocs.posthoc_nemenyi_friedman(rank_TK).set_axis(names).set_axis(names, axis=1)
    artists = scikit_posthocs.critical_difference_diagram(
        dict(zip(names, rank_TK.mean(0), strict=True)),
        p_KK,
        ax=axes,
        color_palette=dict.fromkeys(names, ink),
        label_fmt_left="{label} ({rank:.1f})",
        label_fmt_right="({rank:.1f}) {label}",
        label_props={"fontsize": 8},
        crossbar_props={"color": "#808080", "linewidth": 2.5},
        elbow_props={"linewidth": 0.8},
        marker_props={"s": 18},
        text_h_margin=0.02,
    )
    # The points of a bar come from a set. Sorted, they give the same bytes at every run.
    for (bar,) in artists["crossbars"]:
        bar.set_xdata(sorted(bar.get_xdata()))
    return figure
