"""Decay in steps."""

from __future__ import annotations

from math import pow

from schedules.arguments import Positive, Share
from schedules.schedule import schedule


@schedule(paper="torch.optim.lr_scheduler.StepLR")
def step(epoch: float, *, every: Positive = 5.0, gamma: Share = 0.1) -> float:
    r"""Step decay: multiply by `gamma` every so many epochs.

    With e the epochs trained,

        factor(e) = gamma^floor(e / every)

    >>> step(every=2, gamma=0.5).at(1.99, 2, 3.99, 4)
    (1.0, 0.5, 0.5, 0.25)
    """
    return pow(gamma, epoch * (1 + 1e-15) // every)  # 0.3 / 0.1 falls short of 3 by its last bit


@schedule(paper="torch.optim.lr_scheduler.MultiStepLR")
def multistep(epoch: float, at: tuple[Positive, ...], *, gamma: Share = 0.1) -> float:
    r"""Multistep decay: multiply by `gamma` at each of the epochs `at`; an epoch that occurs twice counts twice.

    With e the epochs trained and n(e) the number of milestones that are <= e,

        factor(e) = gamma^n(e)

    For milestones as shares of the budget, and other factors, see ``piecewise([0.5, 0.75], [0.1, 0.01])``.

    >>> multistep([2, 3], gamma=0.5).at(1.99, 2, 3)
    (1.0, 0.5, 0.25)
    """
    return pow(gamma, sum(milestone <= epoch for milestone in at))
