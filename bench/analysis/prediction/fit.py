"""Fits of a law to loss curves: Huber's loss of the logarithm, several starts, deterministic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.analysis.prediction.course import Course
from bench.analysis.prediction.laws import Law, Scale
from bench.contract import Array

DELTA = 1e-3
"""Residual of the log loss from which Huber's loss is linear, as in the papers."""

RIDGE = 0.1
"""Weight of the ridge on the logarithms of exponents: a factor e costs as much as 100 points that are off by `DELTA`.

Without it the curves of few schedules are followed into their noise, by exponents far from those of any publication.
"""

FIRST, MOST = 12, 150
"""Most iterations from each start, and of the best one after that."""


class LossCurve(NamedTuple):
    """A measured loss curve: LRs of all updates [T], points [P] and the losses there [P]."""

    lrs: Array
    points: Array
    losses: Array


@dataclass(frozen=True)
class Fit:
    """A law with its parameters, in units of an LR: LRs are divided by `unit` first."""

    law: Law
    unit: float
    parameters: tuple[float, ...]
    start: int  # the start that led to them
    cost: float

    def losses(self, lrs_T: Array, points_P: Array | Sequence[int]) -> Array:
        """Losses at the points of a sequence of LRs."""
        return self.law.curve(self.parameters, Course(np.asarray(lrs_T) / self.unit, np.asarray(points_P)))


def fit(law: Law, curves: Sequence[LossCurve], starts: Sequence[int] | None = None) -> Fit:
    """The parameters with the least Huber loss of log predicted over measured loss, with a `RIDGE`.

    All points are weighted alike.

    Args:
        law: The law.
        curves: Loss curves, with losses above 0.
        starts: Indices of the law's starts to use; all by default.

    Raises:
        ValueError: no curve, or a loss of 0 or below.
    """
    problem = _Problem.of(law, curves)
    first = problem.law.starts(problem.scale)
    rough = {i: problem.solve(np.log(first[i]), FIRST) for i in (range(len(first)) if starts is None else starts)}
    start = min(rough, key=lambda i: rough[i][1])
    logs, cost = problem.solve(rough[start][0], MOST)
    return Fit(law, problem.unit, tuple(np.exp(logs).tolist()), start, cost)


def refit(fitted: Fit, curves: Sequence[LossCurve]) -> Fit:
    """A fit to other curves of the same problem, as of resampled seeds, from the parameters of one that there is."""
    problem = _Problem.of(fitted.law, curves, fitted.unit)
    logs, cost = problem.solve(np.log(fitted.parameters), FIRST)
    return Fit(fitted.law, fitted.unit, tuple(np.exp(logs).tolist()), fitted.start, cost)


class _Problem(NamedTuple):
    law: Law
    unit: float
    scale: Scale
    courses: tuple[Course, ...]
    log_losses: Array  # of all curves, one after the other
    ridge: Array  # weight of each parameter's deviation from `centre`
    centre: Array  # logarithms of the values that the parameters start with

    @classmethod
    def of(cls, law: Law, curves: Sequence[LossCurve], unit: float | None = None) -> _Problem:
        if not curves or min(float(c.losses.min()) for c in curves) <= 0:
            raise ValueError("a fit needs curves, with losses above 0")
        unit = max(float(c.lrs.max()) for c in curves) if unit is None else unit
        courses = tuple(Course(c.lrs / unit, c.points) for c in curves)
        first, last = max(float(c.losses.max()) for c in curves), min(float(c.losses.min()) for c in curves)
        scale = Scale(first, last, max(float(course.area[-1]) for course in courses))
        log_losses = np.log(np.concatenate([c.losses for c in curves]))
        ridge = np.array([RIDGE * (symbol in law.exponents) for symbol in law.symbols])
        return cls(law, unit, scale, courses, log_losses, ridge, np.log(law.starts(scale)[0]))

    def solve(self, logs: Array, most: int) -> tuple[Array, float]:
        """Logarithms of the parameters after at most so many iterations from some, and the cost there."""
        from scipy.optimize import least_squares

        low, high = np.log(self.law.bounds(self.scale)).T
        begin = np.clip(logs, low + 1e-6 * (high - low), high - 1e-6 * (high - low))
        solution = least_squares(
            self._residuals, begin, bounds=(low, high), loss="huber", f_scale=DELTA, x_scale=1.0, max_nfev=most
        )
        return solution.x, float(solution.cost)

    def _residuals(self, logs: Array) -> Array:
        parameters = np.exp(logs).tolist()
        losses = np.concatenate([self.law.curve(parameters, course) for course in self.courses])
        floor = 1e-3 * math.exp(float(self.log_losses.min()))
        misfit = np.log(np.maximum(losses, floor)) - self.log_losses
        return np.concatenate([misfit, self.ridge * (logs - self.centre)])
