"""Predictions of convex theory for each schedule, compared with measurements. No text, no figures.

The last iterate of (sub)gradient descent on a convex function, with rates gamma eta_1 .. gamma eta_T, distance D to
the optimum at the start and gradient norms at most G_t, ends within

    Omega_T(gamma) = D^2 / (2 gamma sum_{s=1..T} eta_s)
                   + gamma/2 sum_{s=1..T} eta_s^2 G_s^2 / sum_{s=1..T} eta_s
                   + gamma/2 sum_{k=1..T-1} (eta_k / sum_{s>k} eta_s) (sum_{s>=k} eta_s^2 G_s^2 / sum_{s>=k} eta_s)

of the minimum (Schaipp et al. 2025, arXiv:2501.18965; Defazio et al. 2023, arXiv:2310.07831). The bound has no
momentum, so the momentum that a schedule cycles is ignored. A task enters by D and G only, so the bound predicts an
order of schedules, and ratios of peak LRs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

import schedules
from bench.analysis.comparison import Comparison, Verdict
from bench.analysis.results import schedule_of
from bench.analysis.stats.correlation import kendall, order, spearman, tau_b
from bench.analysis.stats.intervals import Interval, interval, magnitude, ranks
from bench.contract import Array, Clock, InputError

POINTS = 10_000
"""Most updates of a schedule whose factors are computed one by one."""

TIE = 0.02
"""Relative difference below which two bounds tie in tau: the bound is no sharper than that."""


class Bound(NamedTuple):
    """The bound as a function of the peak LR gamma: Omega(gamma) = start / gamma + gamma * noise."""

    start: float  # of the distance D
    noise: float  # of the gradient norms G_t

    def at(self, gamma: float) -> float:
        """The bound at a peak LR."""
        return self.start / gamma + gamma * self.noise

    @property
    def gamma(self) -> float:
        """The peak LR with the lowest bound, sqrt(start / noise): in units of D / G when both are 1."""
        return math.sqrt(self.start / self.noise)

    @property
    def best(self) -> float:
        """The bound at that peak LR, 2 sqrt(start noise): in units of D G when both are 1."""
        return 2 * math.sqrt(self.start * self.noise)


def bound(factors_T: Sequence[float] | Array, norms_T: Sequence[float] | Array | None = None, d: float = 1.0) -> Bound:
    """The last-iterate bound of a schedule, in O(T) by sums from the end.

    Args:
        factors_T: The schedule's factors eta_1 .. eta_T [T]. Zeros at the end are left out, as they train nothing.
        norms_T: Gradient-norm bounds G_1 .. G_T [T]; 1 by default.
        d: Distance to the optimum at the start.

    Raises:
        ValueError: no factor above 0, one below 0, or norms of another length.
    """
    eta = np.trim_zeros(np.asarray(factors_T, dtype=float), "b")
    if not len(eta) or eta.min() < 0:
        raise ValueError("a bound needs factors of 0 or more, one of them above 0")
    norms = np.ones(len(factors_T)) if norms_T is None else np.asarray(norms_T, dtype=float)
    if len(norms) != len(factors_T):
        raise ValueError(f"{len(factors_T)} factors, but {len(norms)} gradient norms")
    rates = np.cumsum(eta[::-1])[::-1]  # sum_{s>=k} eta_s
    squares = np.cumsum((eta * norms[: len(eta)])[::-1] ** 2)[::-1]
    tail = float(np.sum(eta[:-1] / rates[1:] * (squares[:-1] / rates[:-1])))
    return Bound(d**2 / (2 * float(rates[0])), (float(squares[0] / rates[0]) + tail) / 2)


# -------------------------------------------------------------------------------------------- against a ledger


class Line(NamedTuple):
    """One strategy at one budget of one task: predicted and measured."""

    strategy: str
    bound: Bound
    predicted: float  # rank by the bound at its best peak LR, among the strategies that have one
    measured: float  # rank of the final test value, among the same
    peak_lr: float  # predicted best peak LR, over the geometric mean of these strategies
    selected: float  # geometric mean of the peak LRs chosen, over that of these strategies


def reach(tau: Interval) -> tuple[float, float] | None:
    """95 % interval of a mean correlation, which lies in [-1, 1]; None without a width, or where all values are one.

    It is the t interval cut to the possible values, which loses no coverage.

    >>> reach(Interval(0.5, 0.7, 3)), reach(Interval(0.0, 3.0, 2)), reach(Interval(0.2, None, 1))
    ((-0.2, 1.0), (-1.0, 1.0), None)
    """
    if not tau.half or tau.low is None or tau.high is None:
        return None
    return round(max(-1.0, tau.low), 12), round(min(1.0, tau.high), 12)


class Agreement(NamedTuple):
    """Lines of one task and budget, best predicted first, and correlations of predicted and measured order."""

    lines: tuple[Line, ...]
    left_out: tuple[str, ...]  # strategies without a bound: closed loop, another optimizer, or not our schedule
    tau: Interval | None  # Kendall's tau-b, over seeds; None when there is no order to compare
    ceiling: tuple[float, float] | None  # tau of the true order, by two estimates; None with one seed
    rho: float | None  # Spearman's, of the predicted order and that of the means over seeds
    tau_peaks: float | None  # of predicted and chosen peak LRs, over strategies; None when either is all one


def noise_ceiling(predicted_KK: np.ndarray, costs_NK: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Mean tau over seeds that the true order would reach, low and high; None with one seed, or where all ties.

    The true order is estimated by mean ranks: of the other seeds, which have noise of their own, so that tau comes out
    too low; and of all seeds, the seed itself among them, so that it comes out too high (Nili et al. 2014,
    doi:10.1371/journal.pcbi.1003553). Pairs that the prediction ties are tied in it, too, as they lower tau-b.

    Args:
        predicted_KK: Predicted order of each pair, as of `order`.
        costs_NK: Ranks of the strategies with each seed.
    """
    if len(costs_NK) < 2:
        return None
    ranks_NK, told_KK = np.asarray(costs_NK, float), np.abs(predicted_KK)
    all_KK = told_KK * order(ranks_NK.mean(0).tolist())
    low, high = [], []
    for seed, rank_K in enumerate(ranks_NK):
        others_KK = told_KK * order(np.delete(ranks_NK, seed, axis=0).mean(0).tolist())
        low.append(tau_b(others_KK, order(rank_K.tolist())))
        high.append(tau_b(all_KK, order(rank_K.tolist())))
    sound = [(a, b) for a, b in zip(low, high, strict=True) if a is not None and b is not None]
    return (_mean([a for a, _ in sound]), _mean([b for _, b in sound])) if sound else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


@dataclass(frozen=True)
class Theory:
    """A comparison and its prediction, with gradient norms taken as constant."""

    comparison: Comparison

    @cached_property
    def agreements(self) -> Mapping[tuple[str, float], Agreement]:
        """Agreements by (task, budget), where three strategies or more have a bound and a rank."""
        every = {key: self._agreement(*key) for key in self.comparison.verdicts}
        return {key: agreement for key, agreement in every.items() if agreement}

    def over_tasks(self, budget: float | None = None) -> tuple[Interval, tuple[float, float] | None] | None:
        """Mean tau over tasks, with its t interval, and its noise ceiling; at one budget, or at all of them.

        A task counts once, by the mean over its budgets, which share runs. Seeds of one task share schedules and data,
        so their spread tells how certain its own tau is, not how well it generalizes to other tasks.
        """
        by_task: dict[str, list[Agreement]] = {}
        for (task, own), agreement in self.agreements.items():
            if agreement.tau and budget in (None, own):
                by_task.setdefault(task, []).append(agreement)
        if not by_task:
            return None
        taus = [_mean([a.tau.mean for a in each if a.tau]) for each in by_task.values()]
        ceilings = [[a.ceiling for a in each if a.ceiling] for each in by_task.values()]
        if not all(ceilings):
            return interval(taus), None
        low, high = (_mean([_mean([ends[i] for ends in each]) for each in ceilings]) for i in (0, 1))
        return interval(taus), (low, high)

    def _agreement(self, task: str, budget: float) -> Agreement | None:
        verdicts = {s: v for s, v in self.comparison.at(task, budget).items() if v.score.selected}
        bounds = {s: b for s, v in verdicts.items() if (b := self._bound(task, s, v))}
        if len(bounds) < 3:  # an order of two is a coin toss
            return None
        names = list(bounds)
        direction = self.comparison.direction(task)
        finals = [final.mean if (final := verdicts[s].score.final) else math.nan for s in names]
        omegas = [bounds[s].best for s in names]
        gammas = _relative([bounds[s].gamma for s in names])
        peaks = _relative([_middle([t.peak_lr for t in verdicts[s].score.selected]) for s in names])
        columns = zip(
            names, bounds.values(), ranks(omegas, "min"), ranks(finals, direction), gammas, peaks, strict=True
        )
        lines = sorted((Line(*column) for column in columns), key=lambda line: line.predicted)
        costs = self._costs(names, verdicts, direction)
        taus = [kendall(omegas, of_seed, TIE) for of_seed in costs]
        sound = [tau for tau in taus if tau is not None]
        rest = tuple(s for s in verdicts if s not in bounds)
        rho = spearman(omegas, ranks(finals, direction))
        tau, ceiling = interval(sound) if sound else None, noise_ceiling(order(omegas, TIE), costs)
        return Agreement(tuple(lines), rest, tau, ceiling, rho, kendall(gammas, peaks))

    def _costs(self, names: Sequence[str], verdicts: Mapping[str, Verdict], direction: str) -> list[list[float]]:
        """Ranks of the final values for each seed that all of the strategies have."""
        finals = [{t.seed: math.nan if t.final is None else t.final for t in verdicts[s].score.selected} for s in names]
        shared = sorted(set.intersection(*map(set, finals)))
        scales = [magnitude(each.values()) for each in finals]
        return [ranks([each[seed] for each in finals], direction, scales) for seed in shared]

    def _bound(self, task: str, strategy: str, verdict: Verdict) -> Bound | None:
        first, facts = verdict.score.selected[0], self.comparison.study.tasks[task]
        if first.ride[3] != "none" or first.optimizer != facts.optimizer:
            return None
        return _of_text(schedule_of(strategy), first.total, facts.epoch_steps, first.peak_lr)


@cache
def _of_text(text: str, total: int, epoch_steps: int, peak_lr: float) -> Bound | None:
    """Bound of the schedule with this text; None when it is closed loop, not in the catalogue, or all zero.

    With more than `POINTS` updates, factors are interpolated linearly between that many of them.
    """
    try:
        schedule = schedules.parse(text)
    except InputError:
        return None
    if schedule.needs:
        return None
    steps = np.unique(np.linspace(0, total - 1, min(total, POINTS)).round().astype(int))
    clocks = (Clock(int(step), total, epoch_steps, peak_lr) for step in steps)
    factors = [schedule(schedule.init(), clock, None)[0].factor for clock in clocks]
    etas = np.interp(np.arange(total), steps, factors)
    return bound(etas) if etas.max() > 0 else None


def _middle(values: Sequence[float]) -> float:
    """Geometric mean."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _relative(values: Sequence[float]) -> list[float]:
    middle = _middle(values)
    return [v / middle for v in values]
