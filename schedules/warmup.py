"""Warmup: a rise to the peak before the schedule proper."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from math import cos, exp, pi, sqrt
from typing import Any, Literal

from schedules.arguments import Low, Part, Positive
from schedules.contract import Clock, InputError, Schedule, Setting, Signals
from schedules.schedule import Combinator, schedule

Shape = Literal["linear", "cosine", "sqrt", "polynomial", "exponential"]


@schedule(
    paper="arXiv:1706.02677, section 2.2; shapes: arXiv:2603.10301, transformers.get_wsd_schedule", horizon="as given"
)
@dataclass(frozen=True, slots=True)
class warmup(Combinator):
    r"""Warmup: rise to the start of `inner`, over so many `epochs` or that `fraction` of the budget; then `inner`.

    With t the update and W the updates of warmup, rounded,

        factor(t) = g((t + 1) / W) * inner(0)    t <  W
                    inner(t - W)                 t >= W
        g(u)      = u                            linear
                    (1 - cos(pi u)) / 2          cosine
                    1 - sqrt(1 - u)              sqrt
                    u^power                      polynomial
                    1 - exp(-growth u)           exponential

    `inner` sees a clock that starts after the warmup and has the rest of the budget. The ramp follows other conventions
    by `first`: '1/(W+1)' is g((t + 1) / (W + 1)), and a number f is f + (1 - f) g(t / W). A budget shorter than the
    warmup ends on the ramp. An exponential rise ends short of the peak by exp(-growth), as published.

    >>> from schedules.polynomial import linear
    >>> from schedules.schedule import factors
    >>> [s.factor for s in factors(warmup(linear(), epochs=1), total=6, epoch_steps=2, peak_lr=0.1)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """

    inner: Schedule[Any]
    _: KW_ONLY
    epochs: Positive | None = None
    fraction: Part | None = None
    first: Low | Literal["1/W", "1/(W+1)"] = "1/W"
    shape: Shape = "linear"
    power: Positive = 2.0
    growth: Positive = 5.0

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.fraction is None):
            raise InputError("schedule warmup: give its length as epochs=... or as fraction=..., one of the two")

    @property
    def horizon(self) -> str:
        if self.fraction is not None or self.inner.horizon == "relative":
            return "relative"
        return "absolute"

    def __call__(self, state: Any, clock: Clock, signals: Signals | None) -> tuple[Setting, Any]:
        w = round(clock.epoch_steps * self.epochs if self.epochs else clock.total * (self.fraction or 0))
        after = clock._replace(step=max(0, clock.step - w), total=max(1, clock.total - w))
        setting, following = self.inner(state, after, signals)
        if clock.step >= w:
            return setting, following
        return setting._replace(factor=setting.factor * self.ramp(clock.step, w)), state

    def ramp(self, t: int, w: int) -> float:
        if not isinstance(self.first, float):
            return self.rise((t + 1) / (w if self.first == "1/W" else w + 1))
        if self.shape == "linear":
            return self.first + (1 - self.first) * t / w  # in this order: ledgers hold these bits
        return self.first + (1 - self.first) * self.rise(t / w)

    def rise(self, u: float) -> float:
        """From 0 at u = 0 up to 1 at u = 1, or nearly so."""
        if self.shape == "linear":
            return u
        if self.shape == "cosine":
            return (1 - cos(pi * u)) / 2
        if self.shape == "sqrt":
            return 1 - sqrt(1 - u)
        return u**self.power if self.shape == "polynomial" else 1 - exp(-self.growth * u)
