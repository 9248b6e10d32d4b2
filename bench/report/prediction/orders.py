"""The order of training losses that a fitted law predicts and the measured one, in the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.prediction.predictor import rms
from bench.analysis.prediction.saved import Saved
from bench.analysis.results import Study
from bench.report.markup import Item, Table
from bench.report.numbers import MISSING, number, percent

METHOD = (
    "Of the training loss. For each task, of three published laws the one that errs least is fitted to the losses of "
    "all schedules but one, at one peak LR and all budgets, and predicts the one that was held out (`glideslope "
    "predict`). Tau is Kendall's, of the predicted order with the measured one, averaged over seeds; after “of” stands "
    "what the true order would reach, given the noise of seeds. A law whose error is no smaller than the spread of "
    "schedules (standard deviation) predicts nothing."
)


def section(saved: Sequence[Saved], study: Study) -> Iterator[str | Table]:
    """A table by task and budget; nothing without predictions."""
    if not saved:
        return
    yield METHOD
    budgets = sorted({s.order.budget for s in saved})
    rows, notes = [], []
    for task in dict.fromkeys(s.task for s in saved):
        own = {s.order.budget: s for s in saved if s.task == task}
        first = next(iter(own.values()))
        taus = [Item(_tau(own[b])) if b in own else Item(MISSING) for b in budgets]
        error = rms([h.error for s in own.values() for h in s.held_out])
        rows.append((Item(task), Item(first.law), *taus, Item(number(error)), Item(number(first.spread))))
        done = sum(t.task == task for t in study.tries)
        if first.cells != done:
            notes.append(f"{task}: fitted when {first.cells} of its {done} cells were done.")
    head = ("task", "law", *map(percent, budgets), "error", "spread")
    yield Table("Predicted and measured order of training losses", head, tuple(rows), tuple(notes))


def _tau(s: Saved) -> str:
    return f"{number(s.order.tau)}{of_noise(s.order.ceiling)}"


def of_noise(ceiling: tuple[float, float] | None) -> str:
    """Words for what a correlation could reach at most, by two estimates, to stand behind it."""
    return "" if ceiling is None else f" of {number(ceiling[0])} to {number(ceiling[1])}"
