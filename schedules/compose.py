"""Schedules made of schedules."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from itertools import accumulate
from math import fsum
from typing import Any, Literal

from bench.contract import Clock, InputError, Schedule, Setting, Signals
from schedules.arguments import Low, Part, Positive, Share
from schedules.schedule import schedule


@schedule(paper="arXiv:1706.02677, section 2.2", horizon="as given")
@dataclass(frozen=True, slots=True)
class warmup:
    r"""Warmup: rise to where `inner` begins, over so many `epochs` or that `fraction` of the budget; then `inner`.

    With t the update and W the updates of warmup, rounded,

        factor(t) = (t + 1) / W * inner(0)       t <  W
                    inner(t - W)                 t >= W

    `inner` sees a clock that starts after the warmup and has what is left of the budget, and nothing before. By `first`
    the ramp follows another convention: '1/(W+1)' is (t + 1) / (W + 1), and a number f is f + (1 - f) t / W. A budget
    within the warmup ends on the ramp.

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

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.fraction is None):
            raise InputError("schedule warmup: give its length as epochs=... or as fraction=..., one of the two")

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs

    @property
    def horizon(self) -> str:
        if self.fraction is not None or self.inner.horizon == "relative":
            return "relative"
        return "absolute"

    def init(self) -> Any:
        return self.inner.init()

    def __call__(self, state: Any, clock: Clock, seen: Signals | None) -> tuple[Setting, Any]:
        w = round(clock.epoch_steps * self.epochs if self.epochs else clock.total * (self.fraction or 0))
        after = clock._replace(step=max(0, clock.step - w), total=max(1, clock.total - w))
        setting, following = self.inner(state, after, seen)
        if clock.step >= w:
            return setting, following
        return setting._replace(factor=setting.factor * self.ramp(clock.step, w)), state

    def ramp(self, t: int, w: int) -> float:
        if isinstance(self.first, float):
            return self.first + (1 - self.first) * t / w
        return (t + 1) / (w if self.first == "1/W" else w + 1)


@schedule(paper="stagewise decay as users compose it; torch.optim.lr_scheduler.SequentialLR", horizon="relative")
@dataclass(frozen=True, slots=True)
class stages:
    r"""Stagewise decay of one's own: each stage has a strategy and a share of the budget.

    With T updates, s_1 + ... + s_k = 1 the `shares`, b_i = round(T (s_1 + ... + s_i)) and c_i the `scales`,

        factor(t) = c_i * part_i(t - b_(i-1))    b_(i-1) <= t < b_i

    Each part sees a clock of its own: it starts at 0, and its budget and its peak LR are those of the stage. So a stage
    begins at the peak whatever the one before ended at, unless its scale says otherwise; scales are 1 when not given.

    >>> from schedules.constant import constant
    >>> from schedules.polynomial import linear
    >>> from schedules.schedule import factors
    >>> it = stages([constant(), linear()], [0.5, 0.5], scales=[1, 0.5])
    >>> [s.factor for s in factors(it, total=4, epoch_steps=1, peak_lr=0.1)]
    [1.0, 1.0, 0.5, 0.25]
    """

    parts: tuple[Schedule[Any], ...]
    shares: tuple[Share, ...]
    _: KW_ONLY
    scales: tuple[Positive, ...] | None = None

    def __post_init__(self) -> None:
        for what, given in (("shares", self.shares), ("scales", self.scales)):
            if given is not None and len(given) != len(self.parts):
                raise InputError(f"schedule stages: {len(self.parts)} stages need as many {what}, not {len(given)}")
        if abs(fsum(self.shares) - 1) > 1e-9:
            raise InputError(f"schedule stages: shares should sum to 1, not to {fsum(self.shares):.6g}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(part.needs for part in self.parts))

    def init(self) -> tuple[Any, ...]:
        return tuple(part.init() for part in self.parts)

    def __call__(self, states: tuple[Any, ...], clock: Clock, seen: Signals | None) -> tuple[Setting, tuple[Any, ...]]:
        ends = [round(clock.total * share) for share in accumulate(self.shares[:-1])] + [clock.total]
        i = next(i for i, end in enumerate(ends) if clock.step < end)
        begin, scale = ends[i - 1] if i else 0, self.scales[i] if self.scales else 1.0
        own = Clock(clock.step - begin, ends[i] - begin, clock.epoch_steps, clock.peak_lr * scale)
        setting, state = self.parts[i](states[i], own, seen)
        return setting._replace(factor=scale * setting.factor), (*states[:i], state, *states[i + 1 :])
