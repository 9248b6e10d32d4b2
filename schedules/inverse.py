"""Decay with the inverse of the time trained."""

from __future__ import annotations

from math import sqrt

from schedules.arguments import Positive
from schedules.schedule import schedule


@schedule(paper="arXiv:2106.04560, after arXiv:1706.03762")
def inverse_sqrt(epoch: float, *, tau: Positive = 1.0) -> float:
    r"""Inverse square root decay: `tau` epochs after the peak the LR is down by the square root of two.

    With e the epochs trained,

        factor(e) = 1 / sqrt(1 + e / tau)

    >>> inverse_sqrt().at(0, 3, 15), inverse_sqrt(tau=5).at(15)
    ((1.0, 0.5, 0.25), (0.5,))
    """
    return 1 / sqrt(1 + epoch / tau)
