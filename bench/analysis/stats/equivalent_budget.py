"""Budget worth: the share of its budget at which the reference ends equally well.

B = budgets, N = seeds, G = points of the curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bench.analysis.stats.intervals import t_quantile

POINTS = 400
"""Points of the curve between two budgets at which the interval is evaluated."""


class Worth(NamedTuple):
    """A budget of the reference; `inf` beyond the largest one tried, 0 below the smallest."""

    share: float
    low: float | None  # ends of the 95 % interval; None with one seed
    high: float | None


def worth(reference_BN: np.ndarray, budgets: Sequence[float], values_N: Sequence[float], direction: str) -> Worth:
    """The budget at which the reference reaches the quality of these values, paired by seed.

    The reference's curve is linear in the logarithm of the budget between those that were tried. The worth is the
    smallest budget at which its mean is as good as that of the values. The interval inverts the rule of comparison:
    it spans every budget at which the reference's curve, seed by seed, neither beats the values nor loses to them
    (|mean(d)| <= t(0.975, n - 1) s(d) / sqrt(n), as Fieller's for a ratio), so that a noisy or flat curve gives a wide
    interval, open where the grid ends. It covers the variance over seeds, not the error of the
    interpolation.

    >>> curve = np.array([[0.6, 0.6], [0.8, 0.8]])
    >>> [round(x, 3) for x in worth(curve, (0.25, 1.0), [0.7, 0.7], "max")]
    [0.5, 0.5, 0.5]
    """
    sign = 1.0 if direction == "max" else -1.0
    lead_BN = sign * (np.asarray(values_N, float) - reference_BN)
    log_B = np.array([math.log(budget) for budget in budgets])  # numpy's own differs between processors
    share = _first(lead_BN.mean(1), log_B)
    if lead_BN.shape[1] < 2:
        return Worth(share, None, None)
    segments = pairwise(log_B)
    at_G = np.unique([*log_B, *(x for a, b in segments for x in np.linspace(a, b, POINTS))])
    lead_GN = np.stack([np.interp(at_G, log_B, lead_N) for lead_N in lead_BN.T], axis=1)
    n = lead_GN.shape[1]
    slack_G = t_quantile(n) * lead_GN.std(1, ddof=1) / math.sqrt(n) - np.abs(lead_GN.mean(1))
    inside_G = at_G[slack_G >= 0]
    ends = [share, *map(math.exp, [*inside_G[:1], *inside_G[-1:]])]
    return Worth(share, 0.0 if slack_G[0] > 0 else min(ends), math.inf if slack_G[-1] > 0 else max(ends))


def _first(lead_B: np.ndarray, log_B: np.ndarray) -> float:
    """First budget at which the lead over the reference is used up; 0 before the first budget, inf after the last."""
    behind = np.flatnonzero(lead_B <= 0)
    if not len(behind):
        return math.inf
    i = int(behind[0])
    if i == 0:
        return 0.0 if lead_B[0] < 0 else math.exp(log_B[0])
    share = lead_B[i - 1] / (lead_B[i - 1] - lead_B[i])
    return math.exp(log_B[i - 1] + share * (log_B[i] - log_B[i - 1]))
