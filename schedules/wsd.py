"""Warmup-stable-decay: hold, then cool down."""

from __future__ import annotations

from math import cos, pi, sqrt
from typing import Literal

from schedules.arguments import Share
from schedules.schedule import schedule

Shape = Literal["linear", "sqrt", "cosine"]


@schedule(paper="arXiv:2404.06395; shapes: arXiv:2405.18392")
def wsd(progress: float, *, cooldown: Share = 0.2, shape: Shape = "linear") -> float:
    r"""Warmup-stable-decay: hold the peak, then fall to zero over the last `cooldown` of the budget.

    With x = progress in [0, 1), c = cooldown and r the share of the fall still to come,

        factor(x) = 1                     x <= 1 - c
                    r                     x >  1 - c, linear
                    1 - sqrt(1 - r)       x >  1 - c, sqrt
                    (1 - cos(pi r)) / 2   x >  1 - c, cosine
        r         = (1 - x) / c

    Warmup is not here: write ``warmup(wsd(), fraction=0.05)``.

    >>> wsd(cooldown=0.25).at(0.5, 0.875)
    (1.0, 0.5)
    """
    r = (1 - progress) / cooldown
    if r > 1 - 1e-12:  # the fall begins at r = 1, which rounding misses by a bit or two, and a square root shows it
        return 1.0
    if shape == "linear":
        return r
    return 1 - sqrt(1 - r) if shape == "sqrt" else (1 - cos(pi * r)) / 2
