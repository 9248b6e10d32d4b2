"""Closed loop: the step that would reach the minimum if the loss were linear along the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schedules.arguments import Positive, Range
from schedules.contract import Clock, Signals
from schedules.schedule import schedule

Loss = Annotated[float, Range(-1e9, 1e9, "[]")]


@schedule(paper="arXiv:2002.10542 (SPS_max)", needs={"loss", "grad_norm"})
@dataclass(frozen=True, slots=True, kw_only=True)
class polyak:
    r"""Stochastic Polyak step, bounded: the batch's loss above its lowest possible value, over its squared gradient.

    With f the loss of this update's batch, g the norm of its gradient and p the peak LR,

        factor = min((f - f_star) / (c g^2 p), 1)

    and 0 where f is below `f_star`, the lowest loss that a batch can have. The paper's proofs use `c` = 1/2, its
    networks 0.2. The peak is its bound gamma_b. Its smoothing, by which the bound grows with the previous step, is left
    out. The gradient is that of the loss before clipping, without weight decay.

    >>> schedule, clock = polyak(), Clock(step=0, total=9, epoch_steps=3, peak_lr=0.1)
    >>> [schedule(None, clock, Signals(loss=1.0, grad_norm=g))[0].factor for g in (1.0, 10.0)]
    [1.0, 0.2]
    """

    f_star: Loss = 0.0
    c: Positive = 0.5

    def init(self) -> None:
        return None

    def __call__(self, state: None, clock: Clock, signals: Signals) -> tuple[float, None]:
        rise = max(0.0, signals.loss - self.f_star)
        bound = self.c * signals.grad_norm * signals.grad_norm * clock.peak_lr
        return (1.0 if rise >= bound else rise / bound), None
