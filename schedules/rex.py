"""Reflected exponential decay."""

from __future__ import annotations

from schedules.arguments import Share
from schedules.schedule import schedule


@schedule(paper="arXiv:2107.04197 (beta = 1/2)")
def rex(progress: float, *, beta: Share = 0.5) -> float:
    r"""REX: hold on to high rates longer than linear decay, then fall faster.

    With x = progress in [0, 1); beta = 1 is linear decay,

        factor(x) = (1 - x) / (beta + (1 - beta) (1 - x))

    >>> rex().at(0, 0.75), rex(beta=0.25).at(0.5)
    ((1.0, 0.4), (0.8,))
    """
    return (1 - progress) / (beta + (1 - beta) * (1 - progress))
