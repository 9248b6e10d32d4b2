"""Predictions for a budget beyond the recorded ones, from the traces of a recommendation's evidence. No text."""

from __future__ import annotations

from typing import NamedTuple

from bench.analysis.prediction import recorded
from bench.analysis.prediction.predictor import Prediction, Predictor
from bench.analysis.recommend.evidence import Evidence
from bench.contract import InputError
from bench.ledger import paths


class Extrapolation(NamedTuple):
    """A law, and its predictions for each recorded schedule, best first; () where it refuses."""

    predictor: Predictor
    predictions: tuple[Prediction, ...]


def extrapolate(e: Evidence, epochs: float) -> Extrapolation | None:
    """Predictions of training loss at a budget, in epochs; None if it is a recorded one, or traces do not suffice."""
    study, longest = e.comparison.study, e.facts.epochs * e.comparison.study.budgets(e.task)[-1]
    if epochs <= longest * 1.001 or not paths.traces(e.directory):
        return None
    try:
        p = Predictor(recorded.read(e.directory, study, e.task, None, []))
        budget = epochs / e.facts.epochs
        predictions = [p.predict(s, budget) for s in p.readings.schedules] if p.refusal is None else []
    except InputError:
        return None
    return Extrapolation(p, tuple(sorted(predictions, key=lambda v: v.loss)))
