"""Closed loop: descend on the LR itself, along the loss's derivative by it."""

from __future__ import annotations

from dataclasses import dataclass

from schedules.arguments import Positive, Reach
from schedules.contract import Clock, Signals
from schedules.schedule import schedule


@schedule(paper="arXiv:1703.04782 (SGD-HD)", needs={"grad_dot"})
@dataclass(frozen=True, slots=True, kw_only=True)
class hypergradient:
    r"""Hypergradient descent: raise the LR while a gradient points where the last one did, lower it where it turns.

    With f the factor of the update before, g and h this update's and the last one's gradient, and p the peak LR,

        factor = f + beta (g . h) / p

    which starts at 1, for the first update has no gradient before it, and stays between 0 and `high`, bounds that the
    paper does not have. The rule is the one for plain SGD: with momentum it is an approximation, as in the authors'
    code. Gradients are those of the loss before clipping, without weight decay.

    >>> it, clock = hypergradient(beta=0.01), Clock(step=1, total=9, epoch_steps=3, peak_lr=0.1)
    >>> it(1.0, clock, Signals(loss=1.0, grad_norm=2.0, grad_dot=-3.0))
    (Setting(factor=0.7, momentum=None), 0.7)
    """

    beta: Positive = 0.001
    high: Reach = 1e6

    def init(self) -> float:
        return 1.0

    def __call__(self, factor: float, clock: Clock, seen: Signals) -> tuple[float, float]:
        factor = min(max(0.0, factor + self.beta * seen.grad_dot / clock.peak_lr), self.high)  # of NaN, 0
        return factor, factor
