"""Closed loop: gradient descent on the LR itself."""

from __future__ import annotations

from dataclasses import dataclass

from schedules.arguments import Positive, Reach
from schedules.contract import Clock, Signals
from schedules.schedule import schedule


@schedule(paper="arXiv:1703.04782 (SGD-HD)", needs={"grad_dot"})
@dataclass(frozen=True, slots=True, kw_only=True)
class hypergradient:
    r"""Hypergradient descent: raise the LR while gradients keep their direction, lower it when they turn.

    With f the factor of the update before, g and h this update's and the last one's gradient, and p the peak LR,

        factor = f + beta (g . h) / p

    It starts at 1, since the first update has no previous gradient, and stays between 0 and `high`; the paper has no
    such bounds. The rule is the one for plain SGD. With momentum it is an approximation, as in the authors' code.
    Gradients are those of the loss before clipping, without weight decay.

    >>> schedule, clock = hypergradient(beta=0.01), Clock(step=1, total=9, epoch_steps=3, peak_lr=0.1)
    >>> schedule(1.0, clock, Signals(loss=1.0, grad_norm=2.0, grad_dot=-3.0))
    (Setting(factor=0.7, momentum=None), 0.7)
    """

    beta: Positive = 0.001
    high: Reach = 1e6

    def init(self) -> float:
        return 1.0

    def __call__(self, factor: float, clock: Clock, signals: Signals) -> tuple[float, float]:
        factor = min(max(0.0, factor + self.beta * signals.grad_dot / clock.peak_lr), self.high)  # NaN becomes 0
        return factor, factor
