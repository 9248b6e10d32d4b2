"""The report: tables, figures and one page from the rows of a ledger. `write` makes files, `show` prints."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from bench import extras
from bench.analysis.comparison import Comparison
from bench.analysis.protocol.answer import Answer
from bench.analysis.protocol.sequential import verdicts
from bench.analysis.results import Study
from bench.ledger import atomic, paths
from bench.ledger.lines import Row
from bench.report import csv_tables, markup, tables
from bench.report.document import document
from bench.report.sections import advice, answer, diagnostics, peaks
from bench.report.textbook import theory

if TYPE_CHECKING:
    from rich.console import Console


def write(directory: Path, rows: Iterable[Row]) -> Path:
    """Write `table.md` and `.tex`, five tables as `.csv`, `figures/` and `report.html`. Returns the path of the page.

    The same rows give the same bytes. Figures that an earlier report left behind are removed.

    Raises:
        InputError: the rows hold no plan, or what draws the figures is not installed.
    """
    extras.require("report")  # before the old report is removed
    # Here, since matplotlib takes a while to import.
    from bench.report import chart_data, page
    from bench.report.figures import draw

    comparison = Comparison(Study.of(rows))
    target, folder = paths.page(directory), paths.figures(directory)
    folder.mkdir(parents=True, exist_ok=True)
    # The page is removed first and written last, so that where there is a page, the report is complete.
    target.unlink(missing_ok=True)
    for old in [*folder.glob("*.svg"), *folder.glob("*.pdf")]:
        old.unlink()
    figures = draw(comparison, folder)
    sections = document(comparison, figures)
    files = {
        "table.md": markup.markdown(sections),
        "table.csv": csv_tables.table_csv(comparison),
        "tests.csv": csv_tables.tests_csv(verdicts(comparison)),
        "diagnostics.csv": diagnostics.diagnostics_csv(comparison),
        "peaks.csv": peaks.peaks_csv(comparison),
        "theory.csv": theory.theory_csv(comparison),
        "table.tex": markup.latex(tables.results(comparison, task) for task in comparison.study.tasks),
        paths.page(directory).name: page.html(sections, folder, chart_data.drawing(comparison, figures)),
    }
    for name, text in files.items():
        atomic.write(directory / name, partial(_encode, text))
    return target


def _encode(text: str, file: IO[bytes]) -> None:
    file.write(text.encode())


def show(rows: Iterable[Row], console: Console) -> None:
    """Print the answer: a sentence, one small table, and what is left out or missing.

    Raises:
        InputError: the rows hold no plan.
    """
    result = Answer(Comparison(Study.of(rows)))
    console.print(answer.sentence(result), highlight=False, markup=False)
    print_table(advice.brief(result, console.width), console)
    for line in (advice.signs(result), *answer.limits(result)):
        console.print(line, highlight=False, markup=False)


LEAST = 20
"""Characters of a name that a column has room for, if any name is so long."""


def print_table(table: markup.Table, console: Console) -> None:
    """Print one table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    style = {"better": "cyan", "worse": "yellow", "first": "bold", "first better": "bold cyan", "prose": "", "": ""}
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    widest = max((len(word) for first, *_ in table.rows for word in first.text.split()), default=0)
    for i, name in enumerate(table.head):
        prose, least = table.prose(i), None if i else min(widest, LEAST)
        justify: Literal["left", "right"] = "left" if prose else "right"
        grid.add_column(Text(name), justify=justify, overflow="fold", no_wrap=not prose, min_width=least)
    for first, *rest in table.rows:
        grid.add_row(Text(first.text), *(Text(item.text, style.get(item.mark, "bold yellow")) for item in rest))
    if table.title:
        console.print(Text(table.title, "bold"))
    console.print(grid)
