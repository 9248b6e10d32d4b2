"""A curve through points that the user chooses."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from math import cos, pi
from typing import Annotated, Any, Literal

from schedules.arguments import Range
from schedules.contract import Clock, InputError, Signals
from schedules.schedule import schedule

Unit = Annotated[float, Range(0, 1, "[]")]


@schedule(
    paper="optax.piecewise_constant_schedule, piecewise_interpolate_schedule; splines: arXiv:2603.10301",
    horizon="relative",
)
@dataclass(frozen=True, slots=True)
class piecewise:
    r"""Piecewise constant or interpolated: `factors` at the shares `at` of the budget.

    With x = progress in [0, 1), x_0 = 0, f_0 = 1 and x_i, f_i the i-th of `at` and `factors`, at x_i <= x < x_(i+1),

        factor(x) = f_i                        hold
                    (1 - u) f_i + u f_(i+1)    linear
                    w f_i + (1 - w) f_(i+1)    cosine
        u, w      = (x - x_i) / (x_(i+1) - x_i), (1 + cos(pi u)) / 2

    'spline' is the monotone cubic (PCHIP) through the points. After the last point the factor stays as it is; a point
    at 0 replaces (x_0, f_0). A two-point schedule of init2winit's optlrschedule has `at` = [x1, x2, 1] and `factors` =
    [y1, y2, 0]. That library rounds the points down to whole steps, this one does not.

    >>> piecewise([0.5, 0.75], [0.1, 0.01]).at(0.4, 0.5, 0.9)
    (1.0, 0.1, 0.01)
    >>> piecewise([0, 0.25, 1], [0.5, 1, 0], between="linear").at(0, 0.125, 0.25, 0.625)
    (0.5, 0.75, 1.0, 0.5)
    """

    at: tuple[Unit, ...]
    factors: tuple[Unit, ...]
    _: KW_ONLY
    between: Literal["hold", "linear", "cosine", "spline"] = "hold"

    def __post_init__(self) -> None:
        if len(self.at) != len(self.factors):
            raise InputError(f"schedule piecewise: {len(self.at)} points need as many factors, not {len(self.factors)}")
        if any(b - a < 1e-9 for a, b in pairwise(self.at)):
            raise InputError(f"schedule piecewise: at should ascend, by 1e-9 at least, not be {list(self.at)}")

    def init(self) -> None:
        return None

    def __call__(self, state: Any, clock: Clock, signals: Signals | None) -> tuple[float, Any]:
        x, y = self.points()
        i = bisect_right(x, clock.progress) - 1
        if self.between == "hold" or i == len(x) - 1:
            return y[i], state
        u = (clock.progress - x[i]) / (x[i + 1] - x[i])
        if self.between == "spline":
            return _spline(x, y, i, u), state
        w = 1 - u if self.between == "linear" else (1 + cos(pi * u)) / 2
        return w * y[i] + (1 - w) * y[i + 1], state

    def points(self) -> tuple[list[float], list[float]]:
        first = [] if self.at and self.at[0] == 0 else [0.0]
        return [*first, *self.at], [*(1.0 for _ in first), *self.factors]


def _spline(x: list[float], y: list[float], i: int, u: float) -> float:
    """The cubic of segment i, at the share u of it: Fritsch and Butland (1984), with the ends of scipy's PCHIP."""
    h = [b - a for a, b in pairwise(x)]
    slope = [(b - a) / width for (a, b), width in zip(pairwise(y), h, strict=True)]
    slope_0 = _inner(h, slope, i) if i else _end(h, slope)
    last = i == len(h) - 1
    slope_1 = _end(h[::-1], slope[::-1]) if last else _inner(h, slope, i + 1)
    v = 1 - u
    value = y[i] * v * v * (1 + 2 * u) + y[i + 1] * u * u * (1 + 2 * v) + h[i] * u * v * (v * slope_0 - u * slope_1)
    return min(max(value, min(y[i : i + 2])), max(y[i : i + 2]))  # rounding may leave the interval


def _inner(h: list[float], slope: list[float], i: int) -> float:
    """Derivative at inner point i: a weighted harmonic mean of the slopes on both sides, 0 at an extremum."""
    before, after = slope[i - 1], slope[i]
    if before * after <= 0:
        return 0.0
    w1, w2 = 2 * h[i] + h[i - 1], h[i] + 2 * h[i - 1]
    return (w1 + w2) / (w1 / before + w2 / after)


def _end(h: list[float], slope: list[float]) -> float:
    """Derivative at the first point: that of the parabola through three points, limited so as not to overshoot."""
    if len(h) == 1:
        return slope[0]
    d = ((2 * h[0] + h[1]) * slope[0] - h[0] * slope[1]) / (h[0] + h[1])
    if d * slope[0] <= 0:
        return 0.0
    return 3 * slope[0] if slope[0] * slope[1] <= 0 and abs(d) > 3 * abs(slope[0]) else d
