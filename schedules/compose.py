"""Schedules made of several others: one after the other, or their product."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from itertools import accumulate
from math import fsum, prod
from typing import Annotated, Any

from schedules.arguments import Range, Share
from schedules.contract import Clock, InputError, Schedule, Setting, Signals
from schedules.schedule import schedule

Scale = Annotated[float, Range(1e-9, 1e9, "[]")]  # so that no stage has a peak LR that underflows to 0


@schedule(paper="stagewise decay as users compose it; torch.optim.lr_scheduler.SequentialLR", horizon="relative")
@dataclass(frozen=True, slots=True)
class stages:
    r"""Stagewise decay: each stage has its own schedule and its share of the budget.

    With T updates, s_1 + ... + s_k = 1 the `shares`, b_i = round(T (s_1 + ... + s_i)) and c_i the `scales`,

        factor(t) = c_i * part_i(t - b_(i-1))    b_(i-1) <= t < b_i

    Each part sees a clock of its own: it starts at 0, and has the budget and the peak LR of its stage. So a stage
    begins at the peak wherever the one before ended, unless its scale says otherwise; by default all scales are 1.

    >>> from schedules.constant import constant
    >>> from schedules.polynomial import linear
    >>> from schedules.schedule import factors
    >>> two_stages = stages([constant(), linear()], [0.5, 0.5], scales=[1, 0.5])
    >>> [s.factor for s in factors(two_stages, total=4, epoch_steps=1, peak_lr=0.1)]
    [1.0, 1.0, 0.5, 0.25]
    """

    parts: tuple[Schedule[Any], ...]
    shares: tuple[Share, ...]
    _: KW_ONLY
    scales: tuple[Scale, ...] | None = None

    def __post_init__(self) -> None:
        for name, values in (("shares", self.shares), ("scales", self.scales)):
            if values is not None and len(values) != len(self.parts):
                raise InputError(f"schedule stages: {len(self.parts)} stages need as many {name}, not {len(values)}")
        if abs(fsum(self.shares) - 1) > 1e-9:
            raise InputError(f"schedule stages: shares should sum to 1, not to {fsum(self.shares):.6g}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(part.needs for part in self.parts))

    def init(self) -> tuple[Any, ...]:
        return tuple(part.init() for part in self.parts)

    def __call__(
        self, states: tuple[Any, ...], clock: Clock, signals: Signals | None
    ) -> tuple[Setting, tuple[Any, ...]]:
        ends = [round(clock.total * share) for share in accumulate(self.shares[:-1])] + [clock.total]
        i = next(i for i, end in enumerate(ends) if clock.step < end)
        begin = ends[i - 1] if i else 0
        scale = self.scales[i] if self.scales else 1.0
        stage_clock = Clock(clock.step - begin, ends[i] - begin, clock.epoch_steps, clock.peak_lr * scale)
        setting, state = self.parts[i](states[i], stage_clock, signals)
        return setting._replace(factor=scale * setting.factor), (*states[:i], state, *states[i + 1 :])


@schedule(paper="torch.optim.lr_scheduler.ChainedScheduler", horizon="as given")
@dataclass(frozen=True, slots=True)
class chain:
    r"""Chain: the product of several schedules, all on the same clock.

        factor(t) = part_1(t) * ... * part_k(t)

    Momentum is that of the last part that sets it.

    >>> from schedules.polynomial import linear
    >>> from schedules.step import step
    >>> from schedules.schedule import factors
    >>> [s.factor for s in factors(chain([linear(), step(every=1, gamma=0.5)]), total=4, epoch_steps=2, peak_lr=0.1)]
    [1.0, 0.75, 0.25, 0.125]
    """

    parts: tuple[Schedule[Any], ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise InputError("schedule chain: name one schedule at least, as in chain([cosine, step])")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(part.needs for part in self.parts))

    @property
    def horizon(self) -> str:
        return max((part.horizon for part in self.parts), key=("none", "absolute", "relative").index)

    def init(self) -> tuple[Any, ...]:
        return tuple(part.init() for part in self.parts)

    def __call__(
        self, states: tuple[Any, ...], clock: Clock, signals: Signals | None
    ) -> tuple[Setting, tuple[Any, ...]]:
        pairs = [part(state, clock, signals) for part, state in zip(self.parts, states, strict=True)]
        momenta = [setting.momentum for setting, _ in pairs if setting.momentum is not None]
        factor = prod(setting.factor for setting, _ in pairs)
        return Setting(factor, momenta[-1] if momenta else None), tuple(state for _, state in pairs)
