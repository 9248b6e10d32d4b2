"""Intervals, ranks and the choice of peak LRs: pure functions over small arrays. N = seeds, K = strategies.

Intervals are Student's t over seeds: with the 3 to 5 seeds of a typical run a bootstrap interval is too short (it
covers 72 % of the time at n = 3 where 95 % is claimed).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
"""Nominal coverage of all intervals."""

TIE = 1e-9
"""Relative difference up to which two values are equal, as means of the same counts may differ in their last bits."""

ROUNDING = 1e-12
"""Share of what was summed up to which a sum is rounding: near 0, where a relative difference tells nothing."""


class Interval(NamedTuple):
    """A mean over n seeds, with half the width of its t interval; `half` is None where it can't be estimated."""

    mean: float
    half: float | None
    n: int

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.mean + self.half

    @property
    def excludes_zero(self) -> bool:
        """Rule of comparison for an interval of paired differences: |mean| > half. Never true with one seed."""
        return self.half is not None and abs(self.mean) > self.half


def total(values: Iterable[float]) -> float:
    """Exact sum of values; 0.0 where they cancel up to `ROUNDING` of their magnitudes.

    >>> total([0.3, -0.2, -0.1]), total([0.3, -0.2, -0.1, 1e-9]) > 0
    (0.0, True)
    """
    values = list(values)
    exact = math.fsum(values)  # exact summation: the order of the seeds changes no digit
    return 0.0 if abs(exact) <= ROUNDING * math.fsum(map(abs, values)) < math.inf else exact


def magnitude(values: Iterable[float]) -> float:
    """Largest finite absolute value, 0.0 if there is none: the scale by which differences near 0 are judged.

    >>> magnitude([0.1, -0.3, math.inf, math.nan])
    0.3
    """
    return max((abs(v) for v in values if math.isfinite(v)), default=0.0)


def difference(a: float, b: float, scale: float = 0.0) -> float:
    """Difference a - b; 0.0 where they are equal up to `TIE`, or up to `ROUNDING` of the `scale` that they are of.

    >>> difference((0.1 + 0.4) / 2, (0.2 + 0.3) / 2), difference((0.7 + 0.2 + 0.1) / 3, (0.1 + 0.2 + 0.7) / 3)
    (0.0, 0.0)
    >>> difference(0.3 - 0.2 - 0.1, 0.0, scale=0.3)
    0.0
    """
    return 0.0 if math.isclose(a, b, rel_tol=TIE, abs_tol=ROUNDING * scale) else a - b


def equal(a: np.ndarray, b: np.ndarray, scale: np.ndarray | float = 0.0) -> np.ndarray:
    """Truth of equality of arrays, element by element, by the rule of `difference`."""
    with np.errstate(invalid="ignore"):  # infinities are equal or not by the first rule alone
        near: np.ndarray = np.isclose(a, b, rtol=TIE, atol=0) | (np.abs(a - b) <= ROUNDING * np.asarray(scale))
        return near


@cache
def t_quantile(n: int, level: float = LEVEL) -> float:
    """Quantile of Student's t with n - 1 degrees of freedom (n >= 2) that bounds an interval of this level.

    >>> round(t_quantile(3), 3)
    4.303
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import, this does not

    return float(stdtrit(n - 1, (1 + level) / 2))


def interval(values_N: Sequence[float], grain: float = 0.0) -> Interval:
    """Mean of values [N] and its 95 % t interval: half = t(0.975, n - 1) sqrt((s² + grain² / 12) / n), s with n - 1.

    Args:
        values_N: At least one; with one there is no half-width.
        grain: Spacing of the possible values: 1 / m for a share of m test examples. Few seeds often have equal values,
            and s is then 0 although the mean is not known exactly: rounding to a grain adds a variance of grain² / 12.

    Raises:
        ValueError: there is no value.
    """
    n = len(values_N)
    if n == 0:
        raise ValueError("an interval needs at least one value")
    mean = total(values_N) / n
    if n == 1:
        return Interval(mean, None, 1)
    variance = math.fsum((v - mean) ** 2 for v in values_N) / (n - 1)
    return Interval(mean, t_quantile(n) * math.sqrt((variance + grain**2 / 12) / n), n)


def stratified(strata: Sequence[Sequence[float]], level: float = LEVEL) -> Interval:
    """Mean over strata of the means over their values [N], with its t interval (Welch and Satterthwaite).

    The variance is the sum of s² / n over strata, over their squared number; degrees of freedom are Satterthwaite's
    (Biometrics Bulletin 2, 1946). `n` counts all values. Without any variance there is no half-width.

    Raises:
        ValueError: no stratum, or one with a single value.
    """
    from scipy.special import stdtrit

    if not strata or any(len(v_N) < 2 for v_N in strata):
        raise ValueError("a stratified interval needs strata of two values or more")
    every = [interval(v_N) for v_N in strata]
    parts = [(float(i.half or 0.0) / t_quantile(i.n) / len(every)) ** 2 for i in every]
    mean, variance, n = total(i.mean for i in every) / len(every), math.fsum(parts), sum(i.n for i in every)
    if variance == 0:
        return Interval(mean, None, n)
    freedom = variance**2 / math.fsum(part**2 / (i.n - 1) for part, i in zip(parts, every, strict=True))
    return Interval(mean, float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance), n)


def paired(a_N: Sequence[float], b_N: Sequence[float], grain: float = 0.0) -> Interval:
    """Interval of the differences a - b [N], paired by seed: same initial weights, same batches.

    Where all seeds give the same difference, s is 0 although the mean is not known exactly. The variance of a
    difference of two values rounded to `grain`, grain² / 6, is used instead. Without a grain there is no half-width.

    Args:
        a_N: Values [N] of different runs than `b_N`.
        b_N: Values [N] of the same seeds.
        grain: Spacing of the possible values, as in `interval`.

    Raises:
        ValueError: lengths differ, or there is no pair.
    """
    scale = magnitude([*a_N, *b_N])
    differences_N = [difference(a, b, scale) for a, b in zip(a_N, b_N, strict=True)]
    estimate = interval(differences_N)
    if estimate.n == 1 or any(difference(d, differences_N[0], scale) for d in differences_N):
        return estimate
    return estimate._replace(half=t_quantile(estimate.n) * grain / math.sqrt(6 * estimate.n) if grain else None)


def binomial_half(share: float, n: int) -> float:
    """Half-width of the 95 % normal interval of a share of n test examples: 1.96 sqrt(p (1 - p) / n).

    It is the variation over test sets of the same size, which intervals over seeds don't include.
    """
    return 1.959963984540054 * math.sqrt(share * (1 - share) / n)


def ranks(values_K: Sequence[float], direction: str, scale_K: Sequence[float] | None = None) -> list[float]:
    """Ranks [K], 1 = best; equal values (see `difference`) share their average rank; NaN (diverged) ranks last, tied.

    `scale_K` are the magnitudes that single values are of; means of `interval` need none, for they are 0 near 0.

    >>> ranks([0.9, 0.8, 0.9, float("nan")], "max")
    [1.5, 3.0, 1.5, 4.0]
    """
    cost = np.asarray(values_K, dtype=float) * (-1 if direction == "max" else 1)
    cost = np.where(np.isnan(cost), np.inf, cost)
    scale = np.zeros(len(cost)) if scale_K is None else np.asarray(scale_K, dtype=float)
    tied = equal(cost[None, :], cost[:, None], np.maximum.outer(scale, scale))
    better = (cost[None, :] < cost[:, None]) & ~tied
    return [float(r) for r in 1 + better.sum(1) + (tied.sum(1) - 1) / 2]


OTHERS = 5
"""Other seeds that choose the peak LR of a seed. With fewer, all seeds choose one peak LR together: a mean over two or
three seeds picks a peak LR by their noise, another for each seed, and inflates the variance. With more, seeds would
share most of what chooses, and an unlucky choice would be shared by all, which no variance over seeds shows."""


def choosers(n: int) -> np.ndarray:
    """Seeds [N, N] that choose a seed's peak LR, True in its row: the next `OTHERS`, around the end; all if n is less.

    >>> [np.flatnonzero(row).tolist() for row in choosers(8)[[0, 6]]]
    [[1, 2, 3, 4, 5], [0, 1, 2, 3, 7]]
    """
    if n <= OTHERS:
        return np.ones((n, n), bool)
    ahead: np.ndarray = (np.arange(n) - np.arange(n)[:, None]) % n
    return (ahead > 0) & (ahead <= OTHERS)


def choose(control_LN: np.ndarray, direction: str) -> tuple[int, ...]:
    """Row (peak LR, ascending) chosen for each seed by the control values [L, N] of `OTHERS` other seeds.

    The value of a seed itself takes no part in its choice, so the choice is not biased in its favour. With fewer than
    `OTHERS` others, all seeds choose one row together. Test values never take part.

    >>> choose(np.array([[0.90, 0.5, 0.5, 0.5, 0.5, 0.5], [0.51, 0.51, 0.51, 0.51, 0.51, 0.51]]), "max")
    (1, 0, 0, 0, 0, 0)
    >>> choose(np.array([[0.90, 0.5, 0.5], [0.51, 0.51, 0.51]]), "max")
    (0, 0, 0)
    """
    return tuple(pick(control_LN[:, those], direction) for those in choosers(control_LN.shape[1]))


def pick(control_LN: np.ndarray, direction: str) -> int:
    """Row (peak LR, ascending) that control values [L, N] choose together.

    Fewest diverged tries (NaN) first, then the best mean (up to `TIE`), then the lower LR.

    >>> pick(np.array([[0.90, 0.50, 0.50], [0.60, 0.60, 0.90]]), "max")
    1
    """
    sign = -1.0 if direction == "max" else 1.0

    def cost(control_N: np.ndarray) -> tuple[int, float]:
        sound = [v for v in control_N.tolist() if not math.isnan(v)]
        return len(control_N) - len(sound), sign * total(sound) / len(sound) if sound else 0.0

    costs = [cost(control_N) for control_N in control_LN]
    fewest, mean = min(costs)
    return next(row for row, (n, value) in enumerate(costs) if n == fewest and not difference(value, mean))


def leader(values: Mapping[float, Mapping[int, float]], seeds: Iterable[int], direction: str) -> float:
    """Key (peak LR) of the values by seed with the best mean over these seeds; the lower of two that are equal.

    >>> leader({0.2: {0: 0.3, 1: -0.2, 2: -0.1}, 0.1: {0: 0.1, 1: -0.1, 2: 0.0}}, [0, 1, 2], "min")
    0.1
    """
    keys, chosen = sorted(values), list(seeds)
    return keys[pick(np.array([[values[key][s] for s in chosen] for key in keys]), direction)]
