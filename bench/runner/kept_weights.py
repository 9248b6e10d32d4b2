"""The weights that a run keeps, once its cells are done: `--keep best` removes those of cells that are not chosen.

The choice follows from the ledger and from the files that are there. So a process that is killed in the middle leaves
nothing wrong: the same command goes on with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from bench.analysis.choice import choices
from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.ledger import ledger, paths
from bench.ledger.cell_row import CellRow
from bench.ledger.rows import PlanRow, WeightsRow, of_kind
from bench.train import weights

Keep: TypeAlias = Literal["none", "best", "all"]


def settle(directory: Path, keep: Keep) -> str:
    """Remove files of weights that are not to be kept, once no cell is missing; a line that says what is there."""
    # Listed first: the files of a run that begins meanwhile come after its plan, whose cells are missing then.
    listed = weights.files(directory)
    rows = ledger.read(directory, kinds=(PlanRow.kind, CellRow.kind, WeightsRow.kind))
    study, rows_of_weights = Study.of(rows), of_kind(rows, WeightsRow)
    present = {cell: row for cell, row in rows_of_weights.items() if paths.weights(directory, row.sha256) in listed}
    if study.missing:
        return f"Weights: {len(present):,} cells so far; what is kept is chosen when no cell is missing"
    ended = [t for t in study.tries if t.final is not None]
    tries = [t for t in ended if t.cell in present]
    lacking = len(ended) - len(tries)
    if keep == "best":
        tries = choices(Comparison(study), present)
        lacking = len({(t.task, t.budget, t.strategy) for t in ended}) - len(tries)
    files = {present[t.cell].sha256: present[t.cell].size for t in tries}
    removed, size = weights.remove(listed, files), sum(files.values()) / 1e6
    place = paths.weights(directory, "").parent
    text = f"Weights of {len(tries):,} cells: {len(files):,} files ({size:,.1f} MB) in {place}"
    text += f", {removed:,} of other cells removed" if removed else ""
    without = "strategies at a budget have" if keep == "best" else "cells have"
    text += f"; {lacking:,} {without} none: trained without --keep, or removed" if lacking else ""
    return text
