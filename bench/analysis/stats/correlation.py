"""Rank correlations of two orders, with values equal up to `TIE` tied. K = strategies.

They are our own code: scipy's `kendalltau` and `spearmanr` multiply and divide in another order, so that the last digit
differs in about half of the cases, and published tables give all digits. `tests/analysis/stats/test_correlation.py`
compares them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.analysis.stats.intervals import ranks


def kendall(a_K: Sequence[float], b_K: Sequence[float], tie: float = 0.0) -> float | None:
    """Kendall's tau-b of two orders [K], ties counted; None when one of them is all ties.

    Equal to `scipy.stats.kendalltau` of the ranks up to rounding. With `tie`, values of the first order that differ by
    less than this share of the larger one tie, too, each pair on its own.

    >>> kendall([1, 2, 3], [1, 3, 2]), kendall([1, 1], [1, 2])
    (0.3333333333333333, None)
    >>> round(kendall([1.0, 1.01, 2.0], [2, 1, 3], tie=0.02), 3)  # of the two pairs that do not tie, both agree
    0.816
    """
    return tau_b(order(a_K, tie), order(b_K))


def tau_b(a_KK: np.ndarray, b_KK: np.ndarray) -> float | None:
    """Kendall's tau-b of two orders given by their pairs, as of `order`; None when one of them is all ties."""
    scale = math.sqrt(float((a_KK * a_KK).sum()) * float((b_KK * b_KK).sum()))
    return float((a_KK * b_KK).sum()) / scale if scale else None


def order(x_K: Sequence[float], tie: float = 0.0) -> np.ndarray:
    """Order of each pair [K, K]: 1, -1, or 0 for a tie."""
    rank_K = np.asarray(ranks(x_K, "min"))
    sign_KK: np.ndarray = np.sign(np.subtract.outer(rank_K, rank_K))
    if tie:
        x = np.asarray(x_K, float)
        near_KK = np.abs(np.subtract.outer(x, x)) < tie * np.maximum.outer(np.abs(x), np.abs(x))
        sign_KK = np.where(near_KK, 0.0, sign_KK)
    return sign_KK


def spearman(a_K: Sequence[float], b_K: Sequence[float]) -> float | None:
    """Spearman's rho of two orders [K], the correlation of their ranks; None when one of them is all ties.

    Equal to `scipy.stats.spearmanr` of the ranks up to rounding.

    >>> spearman([1, 2, 3], [1, 3, 2])
    0.5
    """
    a, b = (np.asarray(ranks(x_K, "min")) - (len(x_K) + 1) / 2 for x_K in (a_K, b_K))
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else None
