"""Curves of deviating calls over ours: one figure per schedule family."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.conformance.document import family
from bench.conformance.factors import LibraryComparison
from bench.report import figures
from bench.report.markup import Figure

if TYPE_CHECKING:
    from matplotlib import figure
    from matplotlib.axes import Axes

NEAR = 10  # updates before the largest difference, in a panel that shows a part of the curve


def draw(comparisons: Sequence[LibraryComparison], folder: Path) -> dict[str, Figure]:
    """Draw every family with a deviation into `folder`; figures by family."""
    import matplotlib as mpl

    groups: dict[str, list[LibraryComparison]] = {}
    for comparison in comparisons:
        if comparison.finding.kind != "equal":
            groups.setdefault(family(comparison.equivalent.schedule), []).append(comparison)
    with mpl.rc_context(figures.SETTINGS):
        return {
            name: figures.save(_panels(group), folder, name, f"{name}: ours in grey, theirs in colour.")
            for name, group in groups.items()
        }


def _panels(group: Sequence[LibraryComparison]) -> figure.Figure:
    grid, panels = figures.multiples(len(group), 3, (3.2, 2.1))
    for axes, comparison in zip(panels, group, strict=True):
        _compare(axes, comparison)
    grid.supxlabel("update", fontsize=8)
    grid.supylabel("factor", fontsize=8)
    return grid


def _compare(axes: Axes, comparison: LibraryComparison) -> None:
    """Draw one call. A difference by an update, or at few, shows only near the largest difference."""
    finding, equivalent = comparison.finding, comparison.equivalent
    near = finding.kind in ("late", "early", "few")
    first = max(0, finding.at - NEAR) if near else 0
    window = slice(first, min(first + 2 * NEAR, equivalent.total) if near else None)
    updates, marker = range(equivalent.total)[window], "o" if near else ""
    axes.plot(updates, comparison.own[window], color="#80808090", linewidth=3, marker=marker, markersize=6)
    axes.plot(updates, comparison.other[window], color=figures.COLOURS[0], linewidth=1.3, marker=marker, markersize=3)
    title = f"{comparison.library.name}: {equivalent.call}"
    axes.set_title("\n".join(textwrap.wrap(title, 52)), fontsize=6.5, loc="left")
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="x", integer=True)
