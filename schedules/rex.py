"""Reflected exponential decay, and the budget-aware schedule: the same reflection, of a line and of a cosine."""

from __future__ import annotations

from math import cos, pi

from schedules.arguments import Positive, Share
from schedules.schedule import schedule


@schedule(paper="arXiv:2107.04197 (beta = 1/2)")
def rex(progress: float, *, beta: Share = 0.5) -> float:
    r"""REX: keep high rates for longer than linear decay, then fall faster.

    With x = progress in [0, 1); beta = 1 is linear decay,

        factor(x) = (1 - x) / (beta + (1 - beta) (1 - x))

    >>> rex().at(0, 0.75), rex(beta=0.25).at(0.5)
    ((1.0, 0.4), (0.8,))
    """
    return (1 - progress) / (beta + (1 - beta) * (1 - progress))


@schedule(paper="arXiv:2505.24452, as implemented in public (the paper's own equation was not at hand)")
def uba(progress: float, *, phi: Positive = 1.0) -> float:
    r"""UBA, the unified budget-aware schedule: cosine annealing, bent upwards by a `phi` below 2 and downwards above.

    With x = progress in [0, 1) and c = cos(pi x),

        factor(x) = 2 (1 + c) / (2 phi + (2 - phi) (1 + c))

    `phi` = 2 is cosine annealing. The formula is that of the only public code with a cosine in it; others give the name
    UBA to (1 - x)^phi or (1 - phi x)^2.

    >>> uba(phi=2).at(0.5), uba().at(0, 0.5)
    ((0.5,), (1.0, 0.6666666666666666))
    """
    w = (1 + cos(pi * progress)) / 2
    return w / (w + phi / 2 * (1 - w))
