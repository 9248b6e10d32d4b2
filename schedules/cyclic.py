"""One cycle: the LR rises and falls, and momentum the other way."""

from __future__ import annotations

from math import cos, pi
from typing import Annotated, Literal

from bench.contract import Setting
from schedules.arguments import Low, Part, Range
from schedules.schedule import schedule

Divisor = Annotated[float, Range(1, 1e9, "[]")]


@schedule(paper="arXiv:1708.07120; settings of torch.optim.lr_scheduler.OneCycleLR")
def onecycle(
    progress: float,
    *,
    rise: Part = 0.3,
    div: Divisor = 25.0,
    final_div: Divisor = 1e4,
    anneal: Literal["cosine", "linear"] = "cosine",
    momentum: bool = True,
    low: Low = 0.85,
    high: Low = 0.95,
) -> Setting:
    r"""One cycle: from 1/`div` up to the peak over the first `rise` of the budget, then down to 1/(`div` `final_div`).

    Momentum falls from `high` to `low` meanwhile and rises again; with `momentum=False` it is left alone. With x =
    progress in [0, 1),

        factor(x)   = w(y) / div + 1 - w(y)                      x <  rise
                      w(z) + (1 - w(z)) / (div final_div)        x >= rise
        momentum(x) = w(y) high + (1 - w(y)) low                 x <  rise
                      (1 - w(z)) high + w(z) low                 x >= rise
        w(u)        = (1 + cos(pi u)) / 2, or 1 - u              linear
        y, z        = x / rise, (x - rise) / (1 - rise)

    >>> onecycle(rise=0.5, div=4).at(0, 0.25, 0.5)
    (0.25, 0.625, 1.0)
    """
    if progress < rise:
        w = _fall(progress / rise, anneal)
        factor, of_high = w / div + (1 - w), w
    else:
        w = _fall((progress - rise) / (1 - rise), anneal)
        factor, of_high = w + (1 - w) / (div * final_div), 1 - w
    return Setting(factor, of_high * high + (1 - of_high) * low if momentum else None)


def _fall(z: float, anneal: str) -> float:
    """From 1 at z = 0 down to 0 at z = 1."""
    return (1 + cos(pi * z)) / 2 if anneal == "cosine" else 1 - z
