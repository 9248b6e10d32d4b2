"""The report: tables, figures and one page from the answer of a ledger. `write` makes files, `show` prints."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from bench import extras
from bench.analysis.comparison import Comparison
from bench.analysis.prediction import saved
from bench.analysis.protocol.answer import Answer
from bench.analysis.results import Study
from bench.ledger import atomic, paths
from bench.ledger.lines import Row
from bench.report import csv_tables, markup, tables
from bench.report.document import document
from bench.report.sections import advice, answer, diagnostics, peaks
from bench.report.textbook import theory

if TYPE_CHECKING:
    from rich.console import Console


def find(rows: Iterable[Row]) -> Answer:
    """The answer of a ledger's rows.

    Raises:
        InputError: the rows hold no plan.
    """
    return Answer(Comparison(Study.of(rows)))


def write(directory: Path, result: Answer) -> Path:
    """Write `table.md` and `.tex`, five tables as `.csv`, `figures/` and `report.html`. Returns the path of the page.

    The same rows give the same bytes. Figures that an earlier report left behind are removed.

    Raises:
        InputError: what draws the figures is not installed.
    """
    extras.require("report")  # before the old report is removed
    predictions = saved.read(paths.prediction(directory))
    # Here, since matplotlib takes a while to import.
    from bench.report import chart_data, page
    from bench.report.figures import draw

    comparison = result.comparison
    target, folder = paths.page(directory), paths.figures(directory)
    folder.mkdir(parents=True, exist_ok=True)
    # The page is removed first and written last, so that where there is a page, the report is complete.
    target.unlink(missing_ok=True)
    for old in [*folder.glob("*.svg"), *folder.glob("*.pdf")]:
        old.unlink()
    figures = draw(result, folder)
    sections = document(result, figures, predictions)
    files = {
        "table.md": markup.markdown(sections),
        "table.csv": csv_tables.table_csv(comparison),
        "tests.csv": csv_tables.tests_csv(result.hypotheses),
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


def show(result: Answer, console: Console) -> None:
    """Print the answer: a sentence, one small table, and what is missing; about ten lines in all."""
    console.print(answer.sentence(result), highlight=False, markup=False)
    print_table(advice.brief(result, console.width), console, close=True)
    for line in (advice.signs(result), *answer.brief(result)):
        console.print(line, highlight=False, markup=False)


LEAST = 20
"""Characters of a name that a column has room for, if any name is so long."""


def print_table(table: markup.Table, console: Console, *, close: bool = False) -> None:
    """Print one table; `close`: without lines around its head."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    style = {"better": "cyan", "worse": "yellow", "first": "bold", "first better": "bold cyan", "prose": "", "": ""}
    grid = Table(box=None if close else box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
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
