"""A task's laws, judged on schedules and a budget that were held out, and the predictions of the best one. No text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from bench.analysis.prediction.fit import Fit, fit, refit
from bench.analysis.prediction.laws import LAWS, Law
from bench.analysis.prediction.recorded import Readings, Recorded, open_loop_lrs, points
from bench.analysis.stats.correlation import kendall, order
from bench.analysis.stats.intervals import ranks, t_quantile
from bench.analysis.textbook.theory import noise_ceiling
from bench.contract import Array, InputError
from bench.plan.plan import updates

REPLICAS = 30
"""Refits to resampled seeds."""

LEAST = 3
"""Fewest schedules: one is held out, and a law needs a second one to tell what decay does."""

Refusal = Literal["schedules", "budget"]


class HeldOut(NamedTuple):
    """The final training loss of runs that took no part in the fit which predicts it."""

    schedule: str
    budget: float
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        return self.predicted - self.measured


class Distance(NamedTuple):
    """Distance of a prediction from what was fitted."""

    longer: float  # its updates over those of the longest fitted run
    below: bool  # its LR goes below all fitted ones
    above: bool  # and above them


class Order(NamedTuple):
    """Predicted and measured order of held-out schedules at one budget: Kendall's tau, averaged over seeds."""

    budget: float
    tau: float
    ceiling: tuple[float, float] | None  # of the true order, by two estimates; None with one seed


class Prediction(NamedTuple):
    """A predicted final training loss, with half of its 95 % interval."""

    schedule: str
    budget: float
    total: int
    loss: float
    half: float
    between: float  # half of that of a difference from other schedules at the same budget
    distance: Distance


class Trial(NamedTuple):
    """A law, and its errors on each schedule that was held out at all budgets."""

    law: Law
    fitted: Fit
    held_out: tuple[HeldOut, ...]

    @property
    def error(self) -> float:
        """Root mean square of the errors."""
        return rms([h.error for h in self.held_out])


class Horizon(NamedTuple):
    """Errors at the largest budget of a fit to the others."""

    held_out: tuple[HeldOut, ...]
    longer: float  # its updates over those of the longest one that was fitted

    @property
    def error(self) -> float:
        """Root mean square of the errors."""
        return rms([h.error for h in self.held_out])

    @property
    def offset(self) -> float:
        """The error that schedules share, which leaves their order alone."""
        return math.fsum(h.error for h in self.held_out) / len(self.held_out)

    @property
    def between(self) -> float:
        """Root mean square of the errors without what schedules share."""
        return rms([h.error - self.offset for h in self.held_out])


def rms(values: Sequence[float]) -> float:
    """Root mean square."""
    return math.sqrt(math.fsum(v * v for v in values) / len(values))


@dataclass(frozen=True)
class Predictor:
    """Predictions from the curves of one task at one peak LR.

    Raises:
        InputError: fewer than `LEAST` schedules, or a loss of 0 or below, of which the laws know nothing.
    """

    readings: Readings
    laws: tuple[Law, ...] = LAWS

    def __post_init__(self) -> None:
        r = self.readings
        if len(r.schedules) < LEAST:
            names = ", ".join(r.schedules)
            more = f"{LEAST} or more are needed, as each is held out from a fit to the others"
            raise InputError(f"{r.task}: only {names} can be fitted at peak LR {r.peak_lr:g}; {more}")
        if min(float(c.losses.min()) for c in r.recorded) <= 0:
            raise InputError(f"{r.task}: a training loss is 0 or below, and the laws predict its logarithm")

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Every law, the one with the smallest error on held-out schedules first."""
        return tuple(sorted(map(self._trial, self.laws), key=lambda trial: trial.error))

    @property
    def best(self) -> Trial:
        return self.trials[0]

    @cached_property
    def horizon(self) -> Horizon | None:
        """Errors of the best law at the largest budget, fitted to the others; None with a single budget."""
        recorded, largest = self.readings.recorded, self.budgets[-1]
        rest = [r for r in recorded if r.budget < largest]
        if len({r.schedule for r in rest}) < LEAST - 1:
            return None
        fitted = self._fit(self.best.law, rest, self.best.fitted.start)
        held_out = self._errors(fitted, [r for r in recorded if r.budget == largest])
        return Horizon(held_out, max(r.total for r in recorded) / max(r.total for r in rest))

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        """The order of the best law at each budget where there is one, beside what the noise of seeds allows."""
        every = [self._order(budget) for budget in self.budgets]
        return tuple(one for one in every if one)

    def _order(self, budget: float) -> Order | None:
        predicted = {h.schedule: h.predicted for h in self.best.held_out if h.budget == budget}
        own = [r for r in self.readings.recorded if r.budget == budget]
        finals = [dict(zip(r.seeds, r.finals.tolist(), strict=True)) for r in own]
        shared = sorted(set.intersection(*(set(f) for f in finals)))
        costs = [ranks([f[seed] for f in finals], "min") for seed in shared]
        forecast = [predicted[r.schedule] for r in own]
        taus = [tau for cost in costs if (tau := kendall(forecast, cost)) is not None]
        if not taus:
            return None
        return Order(budget, math.fsum(taus) / len(taus), noise_ceiling(order(forecast), costs))

    @property
    def spread(self) -> float:
        """Standard deviation of the measured final losses of schedules within a budget, pooled over budgets."""
        groups = [[float(r.finals.mean()) for r in self.readings.recorded if r.budget == b] for b in self.budgets]
        squares = [(v - math.fsum(g) / len(g)) ** 2 for g in groups for v in g]
        freedom = sum(len(g) - 1 for g in groups)
        return math.sqrt(math.fsum(squares) / freedom) if freedom else 0.0

    @property
    def budgets(self) -> tuple[float, ...]:
        return self.readings.budgets

    @property
    def refusal(self) -> Refusal | None:
        """Reason for not predicting: an error on what was held out that is no smaller than the spread of schedules.

        "budget" forbids budgets beyond the recorded ones only, whose order of schedules the law did not get right.
        """
        if self.best.error >= self.spread:
            return "schedules"
        return "budget" if self.horizon and self.horizon.between >= self.spread else None

    def predict(self, schedule: str, budget: float) -> Prediction:
        """The final training loss of a schedule at a budget, after a mean over the last part, as it is measured.

        Its interval has the variance over resampled seeds, and the mean squared error on held-out schedules or, beyond
        the fitted budgets, on the held-out one if that is larger; with t quantiles of the number of schedules. For the
        order of schedules, `between` leaves out the error that all of them shared at the held-out budget.

        Raises:
            InputError: a schedule that cannot be predicted, or a budget below the recorded ones.
        """
        r = self.readings
        return self.of_lrs(open_loop_lrs(schedule, self.updates(budget), r.epoch_steps, r.peak_lr), schedule, budget)

    def updates(self, budget: float) -> int:
        """A budget in updates.

        Raises:
            InputError: it is below the recorded ones.
        """
        r = self.readings
        total = updates(r.epochs, budget, r.epoch_steps)
        if total < min(c.total for c in r.recorded):
            raise InputError(
                f"{r.task}: budget {budget:g} is below those that were fitted, from {self.budgets[0]:g} on"
            )
        return total

    def of_lrs(self, lrs_T: Array, schedule: str, budget: float) -> Prediction:
        """The prediction for LRs; see `predict`."""
        total, longest = len(lrs_T), max(r.total for r in self.readings.recorded)
        last = points(total)[-1:]
        losses = [float(f.losses(lrs_T, last)[0]) for f in self._replicas]
        error = between = self.best.error
        if total > longest and self.horizon:
            error, between = max(error, self.horizon.error), max(between, self.horizon.between)
        t, resampled = t_quantile(len(self.readings.schedules)), float(np.std(losses)) if losses else 0.0
        half, between = (t * math.hypot(e, resampled) for e in (error, between))
        low = min(float(r.lrs.min()) for r in self.readings.recorded)
        high = max(float(r.lrs.max()) for r in self.readings.recorded)
        low *= min(1.0, longest / total) ** 2  # a longer decay to 0 ends lower, and is no other range for that
        fallen = float(lrs_T.min()) < low * (1 - 1e-9)
        distance = Distance(total / longest, fallen, float(lrs_T.max()) > high * (1 + 1e-9))
        return Prediction(schedule, budget, total, self.loss(lrs_T), half, between, distance)

    def loss(self, lrs_T: Array) -> float:
        """Predicted final training loss for LRs."""
        return float(self.best.fitted.losses(lrs_T, points(len(lrs_T))[-1:])[0])

    @cached_property
    def _replicas(self) -> tuple[Fit, ...]:
        """Fits to resampled seeds; () with one seed."""
        curves = self.readings.recorded
        if max(len(r.losses) for r in curves) < 2:
            return ()
        rng = np.random.default_rng(0)
        fits = []
        for _ in range(REPLICAS):
            weights = [np.bincount(rng.integers(0, n, n), minlength=n) for n in (len(r.losses) for r in curves)]
            resampled = [r.curve(w) for r, w in zip(curves, weights, strict=True)]
            fits.append(refit(self.best.fitted, resampled))
        return tuple(fits)

    def _trial(self, law: Law) -> Trial:
        recorded = self.readings.recorded
        fitted = self._fit(law, recorded)
        held_out: list[HeldOut] = []
        for name in self.readings.schedules:
            rest = [r for r in recorded if r.schedule != name]
            held_out += self._errors(self._fit(law, rest, fitted.start), [r for r in recorded if r.schedule == name])
        return Trial(law, fitted, tuple(held_out))

    def _fit(self, law: Law, recorded: Sequence[Recorded], start: int | None = None) -> Fit:
        return fit(law, [r.curve() for r in recorded], None if start is None else [start])

    def _errors(self, fitted: Fit, recorded: Sequence[Recorded]) -> tuple[HeldOut, ...]:
        def predicted(r: Recorded) -> float:
            return float(fitted.losses(r.lrs, points(r.total)[-1:])[0])

        return tuple(HeldOut(r.schedule, r.budget, float(r.finals.mean()), predicted(r)) for r in recorded)
