"""The report: tables, figures and one page from the rows of a ledger. `write` makes files, `show` prints."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bench.analysis import reference
from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.ledger import atomic, paths
from bench.ledger.lines import Row
from bench.report import csv_tables, markup, tables
from bench.report import document as findings
from bench.report.sections import diagnostics, peaks, provenance, theory

if TYPE_CHECKING:
    from rich.console import Console


def write(directory: Path, rows: Iterable[Row]) -> Path:
    """Write `table.md` and `.tex`, five tables as `.csv`, `figures/` and `report.html`; its path.

    The same rows give the same bytes. Figures that an earlier report left, of tasks no longer there, are removed.

    Raises:
        InputError: the rows hold no plan.
    """
    from bench.report import chart_data, page
    from bench.report import figures as plots  # matplotlib takes a while to import

    it = Comparison(Study.of(rows))
    made, folder = paths.page(directory), paths.figures(directory)
    folder.mkdir(parents=True, exist_ok=True)
    made.unlink(missing_ok=True)  # and written last: where it is, all of the report is
    for old in [*folder.glob("*.svg"), *folder.glob("*.pdf")]:
        old.unlink()
    figures = plots.draw(it, folder)
    document = findings.document(it, figures)
    files = {
        "table.md": markup.markdown(document),
        "table.csv": csv_tables.table_csv(it),
        "tests.csv": csv_tables.tests_csv(reference.tests(it)),
        "diagnostics.csv": diagnostics.csv(it),
        "peaks.csv": peaks.peaks_csv(it),
        "theory.csv": theory.theory_csv(it),
        "table.tex": markup.latex(tables.results(it, task) for task in it.study.tasks),
        "report.html": page.html(document, folder, chart_data.drawing(it, figures)),
    }
    for name, text in files.items():
        atomic.write(directory / name, partial(_put, text))
    return made


def _put(text: str, file: IO[bytes]) -> None:
    file.write(text.encode())


def show(rows: Iterable[Row], console: Console) -> None:
    """Print the comparison: the table of each task, then the answer.

    Raises:
        InputError: the rows hold no plan.
    """
    it = Comparison(Study.of(rows))
    shown = [tables.brief(it, task) for task in it.study.tasks]
    for table in shown:
        put(table, console)
    signs = tables.legend(row for table in shown for row in table.rows)
    answers = [findings.answer(it, task) for task in it.study.tasks]
    shared = [f"Sharing, {name}: {text}." for name, text in provenance.sharing(it) if not it.study.published]
    for line in (*signs, "", *answers, "", *findings.summary(it, reference.tests(it)), "", *shared):
        console.print(line, highlight=False, markup=False)


def put(table: markup.Table, console: Console) -> None:
    """Print one table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    style = {"best": "bold", "noise": "", "bad": "red", "": "dim", "prose": ""}
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, name in enumerate(table.head):
        left = table.prose(i)
        grid.add_column(Text(name), justify="left" if left else "right", overflow="fold", no_wrap=not left)
    for first, *rest in table.rows:
        grid.add_row(Text(first.text), *(Text(it.text, style[it.mark]) for it in rest))
    console.print(Text(table.title, "bold"))
    console.print(grid)
