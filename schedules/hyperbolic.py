"""Decay along a hyperbola that depends little on the length of the budget."""

from __future__ import annotations

from math import sqrt

from schedules.arguments import Part, Positive
from schedules.contract import Clock
from schedules.schedule import schedule


@schedule(paper="arXiv:2407.15200, as in the author's Axect/HyperbolicLR", horizon="relative")
def hyperbolic(clock: Clock, *, bound: Positive = 250.0, floor: Part = 1e-3, log: bool = False) -> float:
    r"""HyperbolicLR: budgets of different lengths begin alike. With `log` it is ExpHyperbolicLR.

    `bound` is the longest budget one would ever train for, in epochs; a budget of that length ends at `floor`, a
    shorter one above it. With e the epochs trained, N the budget in epochs and U = max(bound, N),

        factor(e) = 1 + (1 - floor) (h(e) - h(0))
                    floor^(h(0) - h(e))             log
        h(e)      = sqrt((N - e) / U * (2 - (N + e) / U))

    >>> from schedules.schedule import factors
    >>> settings = factors(hyperbolic(bound=8, floor=0.5), total=4, epoch_steps=1, peak_lr=0.1)
    >>> [round(s.factor, 6) for s in settings]
    [1.0, 0.926022, 0.846496, 0.754487]
    """
    n = clock.total / clock.epoch_steps
    u = max(bound, n)

    def h(e: float) -> float:
        return sqrt((n - e) / u * (2 - (n + e) / u))

    fall = h(0) - h(clock.epoch)
    return floor**fall if log else 1 - (1 - floor) * fall
