"""Decay by a constant ratio."""

from __future__ import annotations

from math import floor

from schedules.arguments import Share
from schedules.schedule import schedule


@schedule(paper="torch.optim.lr_scheduler.ExponentialLR")
def exponential(epoch: float, *, gamma: Share = 0.99, staircase: bool = False) -> float:
    r"""Exponential decay: multiply by `gamma` every epoch, gradually at each update or at once at the epoch's end.

    With e the epochs trained,

        factor(e) = gamma^e
                    gamma^floor(e)   staircase

    >>> exponential(gamma=0.25).at(0, 0.5, 2)
    (1.0, 0.5, 0.0625)
    """
    return gamma ** (floor(epoch) if staircase else epoch)
