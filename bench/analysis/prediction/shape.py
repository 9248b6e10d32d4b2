"""The decay that a law prefers: factors at knots that never rise, with the lowest predicted loss. No text."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bench.contract import Array

DIGITS = 3
"""Decimals of the factors."""


class Shape(NamedTuple):
    """A schedule through knots, at shares `at` of the budget."""

    at: tuple[float, ...]
    factors: tuple[float, ...]

    @property
    def text(self) -> str:
        """The schedule as `schedules.parse` reads it."""
        at, factors = (", ".join(f"{v:g}" for v in values) for values in self)
        return f"piecewise([{at}], [{factors}], between='linear')"


def search(loss: Callable[[Array], float], total: int, peak_lr: float, knots: int) -> Shape:
    """Factors at evenly spaced knots, from 1 at the start, that a law prefers: the best of several descents.

    Args:
        loss: Predicted final loss of a sequence of LRs [T].
        total: T.
        peak_lr: LR of factor 1.
        knots: Number of knots after the start, the last one at the end.
    """
    from scipy.optimize import minimize

    at = np.linspace(0, 1, knots + 1)
    progress_T = np.arange(total) / total

    def of_ratios(ratios: Array) -> float:
        return loss(peak_lr * np.interp(progress_T, at, np.cumprod([1.0, *ratios])))

    begins: list[Array] = [1 - at, 1 - at**2, 1 - at**6, (1 - at) ** 2]
    ends = []
    for factors in begins:
        positive = np.maximum(factors, 0.01)
        ends.append(minimize(of_ratios, positive[1:] / positive[:-1], method="L-BFGS-B", bounds=[(1e-3, 1.0)] * knots))
    ratios = min(ends, key=lambda end: float(end.fun)).x
    factors = np.round(np.cumprod(ratios), DIGITS)
    return Shape(tuple(np.round(at[1:], 4).tolist()), tuple(factors.tolist()))
