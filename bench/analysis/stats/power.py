"""Power of the rule of comparison, and the minimum detectable difference. K = strategies, N = seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from statistics import NormalDist

import numpy as np

from bench.analysis.stats.intervals import LEVEL, t_quantile

POWER = 0.8
"""Probability that the rule of comparison detects the minimum detectable difference."""


def power(shift: np.ndarray | float, n: int) -> np.ndarray:
    """Probability that the rule of comparison detects n paired differences of mean `shift` > 0.

    The shift is in standard deviations of a difference. With c = t(0.975, n - 1) it is 1 - F(c), F being the
    noncentral t distribution with n - 1 degrees of freedom and noncentrality shift sqrt(n) (Cohen 1988, chapter 2).
    """
    from scipy.special import nctdtr

    return 1 - np.asarray(nctdtr(n - 1, np.asarray(shift) * math.sqrt(n), t_quantile(n)))


def detectable(values_KN: Sequence[Sequence[float]]) -> float | None:
    """Difference between two typical strategies of a table that the rule of comparison detects with 80 % power.

    The variance of a paired difference is the median over all pairs of strategies, which is robust to outliers. It is
    an estimate, so the difference is such that the *expected* power over its uncertainty is 80 %. Identical runs count
    once. None with one seed or one strategy.
    """
    distinct = [np.asarray(v_N, float) for v_N in dict.fromkeys(map(tuple, values_KN))]
    if len(distinct) < 2 or len(distinct[0]) < 2:
        return None
    n = len(distinct[0])
    variance = float(np.median([np.var(a - b, ddof=1) for a, b in combinations(distinct, 2)]))
    freedom = max(n - 1, (n - 1) * (len(distinct) - 1) // 2)  # a median is about half as efficient as a mean
    return math.sqrt(variance / _median(n - 1)) * _shift(n, freedom)


def _median(freedom: int) -> float:
    """Median of a sample variance whose true value is 1."""
    from scipy.special import chdtri

    return float(chdtri(freedom, 0.5)) / freedom


@cache
def _shift(n: int, freedom: int) -> float:
    """Shift, in estimated standard deviations, with an expected power of 80 %; by bisection."""
    from scipy.special import chdtri

    variance_Q = chdtri(freedom, (np.arange(200) + 0.5) / 200) / freedom  # quantiles of the estimate of a variance of 1
    low, high = 0.0, 100.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        expected = float(np.mean(power(middle * np.sqrt(variance_Q), n)))
        low, high = (middle, high) if expected < POWER else (low, middle)
    return high


def detectable_mean(half: float, alpha: float = 1 - LEVEL) -> float:
    """Mean that a two-sided test of level alpha finds with 80 % power, from half the width of its 95 % interval.

    It is half (z(1 - alpha / 2) + z(.8)) / z(.975).

    >>> round(detectable_mean(1.0), 2), round(detectable_mean(1.0, 0.05 / 13), 2)
    (1.43, 1.9)
    """
    normal = NormalDist().inv_cdf
    return half * (normal(1 - alpha / 2) + normal(POWER)) / normal((1 + LEVEL) / 2)
