"""Curves of the calls that deviate, over ours: a figure for each schedule family."""

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

NEAR = 10  # updates


def draw(found: Sequence[LibraryComparison], folder: Path) -> dict[str, Figure]:
    """Draw every family that has a deviation into `folder`; figures by family."""
    import matplotlib as mpl

    groups: dict[str, list[LibraryComparison]] = {}
    for it in found:
        if it.finding.kind != "equal":
            groups.setdefault(family(it.claim.schedule), []).append(it)
    with mpl.rc_context(figures.SETTINGS):
        return {
            name: figures.save(_panels(group), folder, name, f"{name}: ours in grey, theirs in colour.")
            for name, group in groups.items()
        }


def _panels(group: Sequence[LibraryComparison]) -> figure.Figure:
    drawn, panels = figures.multiples(len(group), 3, (3.2, 2.1))
    for axes, it in zip(panels, group, strict=True):
        _compare(axes, it)
    drawn.supxlabel("update", fontsize=8)
    drawn.supylabel("factor", fontsize=8)
    return drawn


def _compare(axes: Axes, it: LibraryComparison) -> None:
    """One call. What differs by an update, or at few, is seen from near only: where the difference is largest."""
    near = it.finding.kind in ("late", "early", "few")
    first = max(0, it.finding.at - NEAR) if near else 0
    shown = slice(first, min(first + 2 * NEAR, it.claim.total) if near else None)
    updates, marker = range(it.claim.total)[shown], "o" if near else ""
    axes.plot(updates, it.ours[shown], color="#80808090", linewidth=3, marker=marker, markersize=6)
    axes.plot(updates, it.theirs[shown], color=figures.COLOURS[0], linewidth=1.3, marker=marker, markersize=3)
    axes.set_title("\n".join(textwrap.wrap(f"{it.library.name}: {it.claim.theirs}", 52)), fontsize=6.5, loc="left")
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="x", integer=True)
