"""Cycles: one rise and fall, many of them, or a fall that restarts."""

from __future__ import annotations

from math import cos, floor, log, log1p, pi, pow
from typing import Annotated, Literal

from schedules.arguments import Low, Part, Range, Share
from schedules.contract import Setting
from schedules.schedule import schedule

Divisor = Annotated[float, Range(1, 1e9, "[]")]
Length = Annotated[float, Range(1e-6, 1e9, "[]")]  # of a cycle, in epochs
Growth = Annotated[float, Range(1, 1e3, "[]")]
Shape = Literal["linear", "cosine", "sine"]


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

    Momentum falls from `high` to `low` meanwhile and rises again; `momentum=False` leaves it unchanged. With x =
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


@schedule(paper="arXiv:1506.01186 (CLR), as in torch.optim.lr_scheduler.CyclicLR; other shapes: git-disl/LRBench")
def cyclic(
    epoch: float,
    *,
    every: Length = 4.0,
    rise: Part = 0.5,
    shape: Shape = "linear",
    low: Low = 0.1,
    gamma: Share = 1.0,
    rate: Share = 1.0,
    begin: Literal["bottom", "top"] = "bottom",
) -> float:
    r"""Cyclical LR: waves between `low`, a share of the peak, and the peak, one in `every` so many epochs.

    The first `rise` of a cycle goes up, the rest down. Each cycle is `gamma` times as high as the one before
    ('triangular2': 0.5), and each epoch multiplies the height by `rate` ('exp_range'). With `begin='top'` the first
    cycle starts after its rise. With e the epochs trained, i the number of complete cycles and y in [0, 1) the share of
    the current one that is over,

        factor(e) = low + (1 - low) gamma^i rate^e w(z)
        z         = 1 - y / rise               y <  rise
                    (y - rise) / (1 - rise)    y >= rise
        w(z)      = 1 - z                      linear
                    (1 + cos(pi z)) / 2        cosine
                    cos(pi z / 2)              sine

    LRBench's TRI, SIN and UPCOS are these three; DTRI, DSIN and COS begin at the top.

    >>> cyclic(every=4, low=0.5).at(0, 1, 2, 3, 4)
    (0.5, 0.75, 1.0, 0.75, 0.5)
    """
    i, y = _cycle(epoch + (rise * every if begin == "top" else 0), every, 1)
    z = 1 - y / rise if y < rise else (y - rise) / (1 - rise)
    return low + (1 - low) * pow(gamma, i) * pow(rate, epoch) * _fall(z, shape)


@schedule(paper="arXiv:1608.03983 (SGDR); gamma, rise: timm, pytorch_scheduler; other shapes: git-disl/LRBench")
def restarts(
    epoch: float,
    *,
    every: Length = 10.0,
    mult: Growth = 1.0,
    shape: Shape = "cosine",
    low: Low = 0.0,
    gamma: Share = 1.0,
    rate: Share = 1.0,
    rise: Low = 0.0,
) -> float:
    r"""Warm restarts: fall to `low`, a share of the peak, and start again, first after `every` so many epochs.

    Each cycle is `mult` times as long as the one before and begins at `gamma` times its peak; each epoch multiplies the
    peak by `rate`. The first `rise` of a cycle is a linear warmup. With e the epochs trained, i the number of complete
    cycles and y in [0, 1) the share of the current one that is over,

        factor(e) = low + (p - low) y / rise      y <  rise
                    low + (p - low) w(z)          y >= rise
        z         = (y - rise) / (1 - rise)
        p         = max(low, gamma^i rate^e)
        w(z)      = (1 + cos(pi z)) / 2           cosine
                    1 - z                         linear
                    cos(pi z / 2)                 sine

    Doubling cycles are the multiplicative schedule of arXiv:2206.00832, whose runs are named T0_10ep_Tmult_2. Restarts
    at shares of the budget are ``stages([cosine, cosine], [0.5, 0.5])``. On the update of a restart LRBench's COSRSW,
    RSW and SINRSW are still at the bottom, this one is at the top.

    >>> restarts(every=1, mult=2, gamma=0.5).at(0, 0.5, 1, 2, 3)
    (1.0, 0.5, 0.5, 0.25, 0.25)
    """
    i, y = _cycle(epoch, every, mult)
    height = max(0.0, pow(gamma, i) * pow(rate, epoch) - low)
    return low + height * (y / rise if y < rise else _fall((y - rise) / (1 - rise), shape))


def _cycle(epoch: float, every: float, mult: float) -> tuple[float, float]:
    """Number of complete cycles and the share of the current one that is over; each is `mult` times the one before."""
    e = epoch * (1 + 1e-15)  # as in `step`: 0.3 / 0.1 falls short of 3 by its last bit
    if mult == 1:
        i = e // every
        return i, min(1.0, max(0.0, epoch / every - i))
    i = float(floor(log1p(e / every * (mult - 1)) / log(mult)))
    i += e >= _begin(i + 1, every, mult)  # the logarithm may be off by its last bit
    i -= e < _begin(i, every, mult)
    return i, min(1.0, max(0.0, (epoch - _begin(i, every, mult)) / (every * pow(mult, i))))


def _begin(i: float, every: float, mult: float) -> float:
    """Epoch at which cycle i begins."""
    return every * (pow(mult, i) - 1) / (mult - 1)


def _fall(z: float, anneal: str) -> float:
    """Factor of the fall: 1 at z = 0, and 0 at z = 1."""
    if anneal == "sine":
        return cos(pi * z / 2)
    return (1 + cos(pi * z)) / 2 if anneal == "cosine" else 1 - z
