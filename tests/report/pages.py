"""Pages of synthetic ledgers, without the paper figures: what the script draws takes no file."""

from pathlib import Path

from bench.analysis.comparison import Comparison
from bench.analysis.results import Study
from bench.report import chart_data, document, page
from bench.report.markup import Figure
from tests.analysis.histories import with_evaluations
from tests.analysis.rows import ledger


def course(cell, progress):
    """Training loss, gradient norm and test loss that fall over a run, the faster the longer its schedule's name."""
    fall = len(cell["schedule"]) * progress
    return 2 / (1 + fall), 1 / (1 + fall), 2.2 / (1 + fall)


def compared(tasks, grid=30, **how):
    """The comparison of a ledger of these tasks, with evaluations every `grid` updates."""
    return Comparison(Study.of(with_evaluations(ledger(tasks, **how), grid, course)))


def charts(it):
    """The figures that the script draws, by key."""
    keys = ("ranks", "curves", *(f"task {task}" for task in it.study.tasks))
    return {key: Figure(key.replace(" ", "-"), f"Drawn: {key}") for key in keys}


def html(it):
    """The page of a comparison."""
    figures = charts(it)
    return page.html(document.document(it, figures), Path(), chart_data.drawing(it, figures))
