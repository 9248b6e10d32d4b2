"""Decay along a power of the remaining share of the budget; linear decay is the power 1."""

from __future__ import annotations

from math import pow

from schedules.arguments import Low, Positive
from schedules.schedule import schedule


@schedule(paper="arXiv:1606.00915 (the 'poly' policy); k: arXiv:2004.05909 (k-decay), as in timm")
def polynomial(progress: float, *, power: Positive = 1.0, k: Positive = 1.0) -> float:
    r"""Polynomial decay: a power of the remaining share of the budget. With `k` above 1 it falls later.

    With x = progress in [0, 1),

        factor(x) = (1 - x^k)^power

    `k` = 2 and `power` = a/2 are the 'sqrt' family of init2winit's optlrschedule (arXiv:2603.10301), sqrt(1 - x^2)^a.

    >>> polynomial(power=2).at(0, 0.5, 0.75), polynomial(k=2).at(0.5)
    ((1.0, 0.25, 0.0625), (0.75,))
    """
    return pow(1 - pow(progress, k), power)


@schedule(paper="arXiv:1905.04753 (budgeted training); arXiv:2310.07831")
def linear(progress: float, *, floor: Low = 0.0) -> float:
    r"""Linear decay: a straight line down to `floor`, a share of the peak, at the end of the budget.

    With x = progress in [0, 1),

        factor(x) = (1 - x) + x * floor

    >>> linear().at(0, 0.25, 0.75), linear(floor=0.5).at(0.5)
    ((1.0, 0.75, 0.25), (0.75,))
    """
    return (1 - progress) + progress * floor
