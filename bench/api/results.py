"""The result of a run: rows and frames, the answer in words, the page; for a terminal and for a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from bench import extras
from bench.analysis.comparison import Comparison
from bench.analysis.results import KINDS, Try
from bench.api.options import ExportOptions, parsed
from bench.contract import InputError
from bench.ledger import ledger, paths
from bench.report import write

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

HEIGHT = 640
"""Height of the page in a notebook, in pixels."""

WIDTH = 120
"""Columns of a result as plain text."""


class RunResult:
    """The result of a run, read from its ledger. In a notebook it shows the page, in a rich terminal the main table.

    Attributes:
        directory: The run's directory.
        notes: Lines about damage to the ledger that was passed over.
    """

    def __init__(self, directory: Path):
        extras.require("report")
        self.directory = directory
        self.notes: list[str] = []
        self._result = write.find(ledger.read(directory, self.notes, KINDS))

    @property
    def answer(self) -> str:
        """The answer in one sentence or two."""
        from bench.report.sections.answer import sentence

        return sentence(self._result)

    @property
    def comparison(self) -> Comparison:
        """All that tables and figures are made from."""
        return self._result.comparison

    @property
    def cells(self) -> list[dict[str, Any]]:
        """One row for each cell: task, strategy, budget, peak_lr, seed, its status, and the values of its metric.

        `final` is on test after the last update, `control` what the peak LR is chosen by, and `best` the test value at
        the epoch of the best control value; None where there is none, as in a cell that diverged.
        """
        return [_cell(t, self.comparison) for t in self.comparison.study.tries]

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row for each task, budget and strategy: the columns of table.csv, which results/README.md explains."""
        from bench.report import csv_tables

        return csv_tables.table_lines(self.comparison)

    def frame(self, rows: Literal["table", "cells"] = "table") -> Any:
        """The rows of `table` or `cells` as a frame of polars or, where that is not installed, of pandas.

        Raises:
            InputError: other rows, or neither library is installed.
        """
        if rows not in ("table", "cells"):
            raise InputError(f"frame({rows!r}): the rows are 'table' or 'cells'")
        if find_spec("polars"):
            import polars  # type: ignore[import-not-found,unused-ignore]

            return polars.DataFrame(getattr(self, rows), infer_schema_length=None)
        if find_spec("pandas"):
            import pandas

            return pandas.DataFrame(getattr(self, rows))
        raise InputError(f"a frame needs polars or pandas: pip install polars; .{rows} has its rows as plain Python")

    @property
    def report(self) -> Path:
        """Path of the page; the report is written if there is none, or the ledger has grown since."""
        page = paths.page(self.directory)
        if not page.exists() or any(p.stat().st_mtime > page.stat().st_mtime for p in paths.parts(self.directory)):
            return write.write(self.directory, self._result)
        return page

    def export(self, task: str, to: str | Path, **options: Unpack[ExportOptions]) -> Path:
        """Write the kept model of a task with its card, as `glideslope export` does. Torch's settings stay.

            bench.run(tasks="digits", keep="best", out="runs/keep").export("digits", "model", format="torch-export")

        Args:
            task: A task of the run.
            to: A folder that is empty or does not exist, which is returned.
            options: Options of `glideslope export`: strategy, budget, seed, format, data, push.

        Raises:
            InputError: what cannot be exported, with the command line's own line.
        """
        extras.require("bench")
        from bench.api.run import undisturbed
        from bench.cli.models import export as command

        args = parsed(command.all_arguments, {"task": task, "to": to} | options, [str(self.directory)])
        with undisturbed():
            command.export(args)
        return Path(to)

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for each cohort that could not be trained; its cells are missing."""
        return tuple(f"{f.task} seed {f.seed}: {f.error}" for f in self.comparison.study.failures)

    def __repr__(self) -> str:
        study = self.comparison.study
        return f"<{self.directory}: {len(study.tries):,} of {study.plan.cells:,} cells. {self.answer}>"

    def __str__(self) -> str:
        return printed(self._show, WIDTH)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield the answer and its table."""
        from rich.text import Text

        yield Text.from_ansi(printed(self._show, options.max_width, colours=True))

    def _show(self, console: Console) -> None:
        write.show(self._result, console)

    def _repr_html_(self) -> str:
        """The answer, and the page in a frame of its own."""
        page = escape(self.report.read_text(encoding="utf-8"))
        frame = f'<iframe srcdoc="{page}" title="report" style="width: 100%; height: {HEIGHT}px; border: 0"></iframe>'
        return f"<p>{escape(self.answer)}</p>\n{frame}"


def load(directory: str | Path) -> RunResult:
    """The result of an earlier run, or of one that is still training.

    Raises:
        InputError: there is no ledger in the directory, or a corrupt one.
    """
    return RunResult(Path(directory))


def printed(show: Callable[[Console], None], width: int, *, colours: bool = False) -> str:
    """Text that a function prints to a terminal of so many columns."""
    from rich.console import Console

    text = StringIO()
    show(Console(file=text, width=width, emoji=False, force_terminal=colours, force_jupyter=False))
    return text.getvalue().rstrip("\n")


def _cell(t: Try, comparison: Comparison) -> dict[str, Any]:
    status = "failed" if t.error else "done" if t.final is not None else "diverged"
    names = ("task", "strategy", "optimizer", "budget", "epochs", "total", "peak_lr", "seed")
    values = ("control", "final", "best", "best_epoch", "recalibrated", "error")
    row = {name: getattr(t, name) for name in names}
    row |= {"status": status, "metric": comparison.study.tasks[t.task].metric}
    return row | {name: getattr(t, name) for name in values}
