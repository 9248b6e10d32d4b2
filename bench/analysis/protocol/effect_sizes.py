"""Effect sizes of strategies over the tasks of the primary test, as rliable reports them (arXiv:2108.13264)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis.protocol.primary import PrimaryTest
from bench.analysis.stats.effects import interquartile_mean, mean_effect, profile, stratified_bootstrap

THRESHOLDS = tuple(np.linspace(-4, 12, 65).tolist())
"""Margins at which performance profiles are evaluated."""


class Estimate(NamedTuple):
    """A statistic with its 95 % stratified bootstrap interval."""

    value: float
    low: float
    high: float


class EffectSizes(NamedTuple):
    """The lead of a strategy over the reference, in margins of each task; a run is a task and seed."""

    strategy: str
    tasks: int
    mean: Estimate
    interquartile_mean: Estimate
    improvement: Estimate  # probability that a run is better, ties counted half; a mean over tasks
    profile: list[float]  # share of runs that are better by more than each of `THRESHOLDS`


def effect_sizes(test: PrimaryTest) -> list[EffectSizes]:
    """Effect sizes of each strategy with two seeds or more in a tested task, best mean first."""
    sizes = []
    for strategy in test.comparison.study.strategies:
        strata = [np.asarray(d_N) for d_N in test.in_margins(strategy).values()]
        if strata:
            mean, middle, share = (
                Estimate(float(statistic(strata)), *stratified_bootstrap(strata, statistic))
                for statistic in (mean_effect, interquartile_mean, _improvement)
            )
            sizes.append(EffectSizes(strategy, len(strata), mean, middle, share, profile(strata, THRESHOLDS)))
    return sorted(sizes, key=lambda s: -s.mean.value)


def _improvement(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Share of differences above 0, ties counted half: a run is compared with the reference of its own seed."""
    return mean_effect([(d_N > 0) + 0.5 * (d_N == 0) for d_N in strata])
