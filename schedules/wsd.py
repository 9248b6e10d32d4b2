"""Warmup-stable-decay: hold, then cool down. The cooldown alone, too, on top of any other schedule."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from math import cos, pi, pow, sqrt
from typing import Any, Literal

from schedules.arguments import Part, Positive, Share
from schedules.contract import Clock, Schedule, Setting, Signals
from schedules.schedule import Combinator, schedule

Shape = Literal["linear", "sqrt", "cosine", "mirror", "power", "exp"]


@schedule(paper="arXiv:2404.06395; shapes: arXiv:2405.18392, timm.scheduler.WSDLRScheduler (power, exp)")
def wsd(
    progress: float, *, cooldown: Share = 0.2, shape: Shape = "linear", power: Positive = 2.0, ratio: Part = 0.1
) -> float:
    r"""Warmup-stable-decay: hold the peak, then fall to zero over the last `cooldown` of the budget.

    With x = progress in [0, 1), c = cooldown and r the share of the fall still to come,

        factor(x) = 1                                        x <= 1 - c
                    r                                        x >  1 - c, linear
                    1 - sqrt(1 - r)                          x >  1 - c, sqrt
                    (1 - cos(pi r)) / 2                      x >  1 - c, cosine
                    2 r - (1 - cos(pi r)) / 2                x >  1 - c, mirror
                    1 - (1 - r)^power                        x >  1 - c, power
                    (ratio^(1 - r) - ratio) / (1 - ratio)    x >  1 - c, exp
        r         = (1 - x) / c

    The published 'square' is ``shape='power'`` as it stands. An exponential fall that ends at the share f of the peak,
    as published f^(1 - r), is ``floor(wsd(shape='exp', ratio=f), f)``. The warmup is not included: write
    ``warmup(wsd(), fraction=0.05)``.

    >>> wsd(cooldown=0.25).at(0.5, 0.875), wsd(cooldown=0.5, shape="power").at(0.75)
    ((1.0, 0.5), (0.75,))
    """
    return _fall((1 - progress) / cooldown, shape, power, ratio)


@schedule(paper="arXiv:2106.04560 (after rsqrt); arXiv:2408.13359, equation 8 (after a power)", horizon="relative")
@dataclass(frozen=True, slots=True)
class cooldown(Combinator):
    r"""Cooldown: `inner`, times a fall to zero over the last `fraction` of the budget, in one of the shapes of `wsd`.

    With T updates, t the update, g the fall of `wsd` and t_0 = round(T (1 - fraction)),

        factor(t) = g(t / T) inner(t)
                    g(t / T) inner(min(t, t_0))    freeze

    `inner` sees the whole budget. With `freeze` it stands still during the cooldown, and so does its state.

    >>> from schedules.inverse import inverse_sqrt
    >>> cooldown(inverse_sqrt(tau=0.25), fraction=0.5).at(0, 0.75)
    (1.0, 0.25)
    """

    inner: Schedule[Any]
    _: KW_ONLY
    fraction: Share = 0.2
    shape: Shape = "linear"
    power: Positive = 2.0
    ratio: Part = 0.1
    freeze: bool = False

    @property
    def horizon(self) -> str:
        return "relative"

    def __call__(self, state: Any, clock: Clock, signals: Signals | None) -> tuple[Setting, Any]:
        g = _fall((1 - clock.progress) / self.fraction, self.shape, self.power, self.ratio)
        begin = round(clock.total * (1 - self.fraction))
        frozen = self.freeze and clock.step >= begin
        setting, following = self.inner(state, clock._replace(step=begin) if frozen else clock, signals)
        return setting._replace(factor=g * setting.factor), state if frozen else following


def _fall(r: float, shape: Shape, power: float, ratio: float) -> float:
    """Factor of the fall: 1 at r >= 1, and 0 at r = 0."""
    if r > 1 - 1e-12:  # the fall begins at r = 1, which rounding misses by a bit or two, and a square root shows it
        return 1.0
    if shape == "linear":
        return r
    if shape == "sqrt":
        return 1 - sqrt(1 - r)
    if shape == "power":
        return 1 - pow(1 - r, power)
    if shape == "exp":
        return max(0.0, (pow(ratio, 1 - r) - ratio) / (1 - ratio))
    wave = (1 - cos(pi * r)) / 2
    return wave if shape == "cosine" else 2 * r - wave
