"""What a table of so many seeds can see at all: the minimum detectable difference. K = strategies, N = seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np

from bench.analysis.stats.intervals import t_quantile

POWER = 0.8
"""Chance, at the minimum detectable difference, that the rule of comparison finds it."""


def power(shift: np.ndarray | float, n: int) -> np.ndarray:
    """Chance that the rule of comparison finds the better of two whose n paired differences have mean `shift` > 0.

    The shift is counted in standard deviations of a difference. With c = t(0.975, n - 1) it is 1 - F(c), F being the
    noncentral t distribution with n - 1 degrees of freedom and noncentrality shift sqrt(n) (Cohen 1988, chapter 2).
    """
    from scipy.special import nctdtr

    return 1 - np.asarray(nctdtr(n - 1, np.asarray(shift) * math.sqrt(n), t_quantile(n)))


def detectable(values_KN: Sequence[Sequence[float]]) -> float | None:
    """Difference between two typical strategies of a table that the rule of comparison finds with 80 % power.

    The variance of a paired difference is taken from the median over all pairs of strategies, so that a few wild ones
    don't speak for the rest. Being estimated, it is uncertain: the difference is such that the *expected* power over
    that uncertainty is 80 %. Strategies that are one run count once. None with one seed or one strategy.
    """
    distinct = [np.asarray(v_N, float) for v_N in dict.fromkeys(map(tuple, values_KN))]
    if len(distinct) < 2 or len(distinct[0]) < 2:
        return None
    n = len(distinct[0])
    variance = float(np.median([np.var(a - b, ddof=1) for a, b in combinations(distinct, 2)]))
    freedom = max(n - 1, (n - 1) * (len(distinct) - 1) // 2)  # a median knows about half of what a mean does
    return math.sqrt(variance / _median(n - 1)) * _shift(n, freedom)


def _median(freedom: int) -> float:
    """Median of a sample variance whose true value is 1."""
    from scipy.special import chdtri

    return float(chdtri(freedom, 0.5)) / freedom


@cache
def _shift(n: int, freedom: int) -> float:
    """Standard deviations, as estimated, that are found with an expected power of 80 %: by bisection."""
    from scipy.special import chdtri

    variance_Q = chdtri(freedom, (np.arange(200) + 0.5) / 200) / freedom  # what may be estimated where 1 is true
    low, high = 0.0, 100.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        found = float(np.mean(power(middle * np.sqrt(variance_Q), n)))
        low, high = (middle, high) if found < POWER else (low, middle)
    return high
