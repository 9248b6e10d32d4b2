"""Decay along the hyperbolic tangent, that is, the logistic curve."""

from __future__ import annotations

import math
from typing import Annotated

from schedules.arguments import Range
from schedules.schedule import schedule

Argument = Annotated[float, Range(-50, 50, "[]")]


@schedule(paper="arXiv:1806.01593 (HTD), as in timm.scheduler.TanhLRScheduler")
def tanh(progress: float, *, begin: Argument = -7.0, end: Argument = 3.0) -> float:
    r"""Hyperbolic-tangent decay: hold, fall, settle; `begin` and `end` are the arguments of the tangent at the ends.

    With x = progress in [0, 1),

        factor(x) = (1 - tanh(begin (1 - x) + end x)) / 2

    It begins a little below the peak, by (1 + tanh(begin)) / 2, as published. Caffe's 'sigmoid' policy is the same
    curve: 1 / (1 + exp(g (x - m))) has `begin` = -g m / 2 and `end` = g (1 - m) / 2.

    >>> tanh(begin=-4, end=4).at(0.5)
    (0.5,)
    """
    return (1 - math.tanh(begin * (1 - progress) + end * progress)) / 2
