"""Pages of synthetic ledgers, without figures in files: the script draws them all."""

from pathlib import Path

from bench.analysis.comparison import Comparison
from bench.analysis.protocol.answer import Answer
from bench.analysis.results import Study
from bench.report import chart_data, document, page
from bench.report.markup import Figure
from tests.analysis.histories import with_evaluations
from tests.analysis.rows import ledger


def course(cell, progress):
    """Training loss, gradient norm and test loss that fall over a run, the faster the longer its schedule's name."""
    fall = len(cell["schedule"]) * progress
    return 2 / (1 + fall), 1 / (1 + fall), 2.2 / (1 + fall)


def compared(tasks, grid=30, **options):
    """The comparison of a ledger of these tasks, with evaluations every `grid` updates."""
    return Comparison(Study.of(with_evaluations(ledger(tasks, **options), grid, course)))


def charts(comparison):
    """The figures that the script draws, by key."""
    keys = ("curves", *(f"task {task}" for task in comparison.study.tasks))
    return {key: Figure(key.replace(" ", "-"), f"Drawn: {key}") for key in keys}


def html(comparison):
    """The page of a comparison."""
    figures = charts(comparison)
    return page.html(document.document(Answer(comparison), figures), Path(), chart_data.drawing(comparison, figures))
