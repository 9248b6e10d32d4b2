"""Decay along half a period of the cosine."""

from __future__ import annotations

from math import cos, pi

from schedules.arguments import Low
from schedules.schedule import schedule


@schedule(paper="arXiv:1608.03983, equation 5, without restarts")
def cosine(progress: float, *, floor: Low = 0.0) -> float:
    r"""Cosine annealing: slow, fast, slow, down to `floor`, a share of the peak, at the end of the budget.

    With x = progress in [0, 1),

        factor(x) = w + (1 - w) * floor
        w         = (1 + cos(pi x)) / 2

    >>> cosine().at(0, 0.5), cosine(floor=0.5).at(0.5)
    ((1.0, 0.5), (0.75,))
    """
    w = (1 + cos(pi * progress)) / 2
    return w + (1 - w) * floor
