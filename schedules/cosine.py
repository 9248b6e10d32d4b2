"""Decay along half a period of the cosine."""

from __future__ import annotations

from math import cos, pi, pow

from schedules.arguments import Low, Positive
from schedules.schedule import schedule


@schedule(
    paper="arXiv:1608.03983, equation 5, no restarts; exponent: arXiv:2603.10301; k: arXiv:2004.05909, as in timm"
)
def cosine(progress: float, *, floor: Low = 0.0, exponent: Positive = 1.0, k: Positive = 1.0) -> float:
    r"""Cosine annealing: slow, fast, slow, down to `floor`, a share of the peak, at the end of the budget.

    With an `exponent` above 1 it falls earlier; with `k` above 1 (k-decay) it falls later. With x = progress in [0, 1),

        factor(x) = w + (1 - w) * floor
        w         = ((1 + cos(pi x^k)) / 2)^exponent

    >>> cosine().at(0, 0.5), cosine(floor=0.5).at(0.5), cosine(exponent=2).at(0.5)
    ((1.0, 0.5), (0.75,), (0.25,))
    """
    w = pow((1 + cos(pi * pow(progress, k))) / 2, exponent)
    return w + (1 - w) * floor
