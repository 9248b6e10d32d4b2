"""Combinators that change the height of one schedule: a scale, a floor, noise."""

from __future__ import annotations

import random
from dataclasses import KW_ONLY, dataclass
from statistics import NormalDist
from typing import Any

from schedules.arguments import Count, Low, Part, Positive
from schedules.contract import Clock, Schedule, Setting, Signals
from schedules.schedule import Combinator, schedule


@schedule(paper="as users write it; torch.optim.lr_scheduler.ConstantLR, to the end", horizon="as given")
@dataclass(frozen=True, slots=True)
class scale(Combinator):
    r"""Scale: `inner` times a number.

        factor(t) = by * inner(t)

    `inner` sees the same peak LR as without the scale.

    >>> from schedules.polynomial import linear
    >>> scale(linear(), 0.5).at(0, 0.5)
    (0.5, 0.25)
    """

    inner: Schedule[Any]
    by: Positive

    def __call__(self, state: Any, clock: Clock, signals: Signals | None) -> tuple[Setting, Any]:
        setting, following = self.inner(state, clock, signals)
        return setting._replace(factor=self.by * setting.factor), following


@schedule(paper="the minimum LR that every library has: aimed at, as in SGDR, or a clip", horizon="as given")
@dataclass(frozen=True, slots=True)
class floor(Combinator):
    r"""Floor: `inner`, rescaled to end at the share `value` of the peak in place of 0, or clipped there by `clip`.

        factor(t) = inner(t) + (1 - inner(t)) value
                    max(inner(t), value)               clip

    >>> from schedules.polynomial import linear
    >>> floor(linear(), 0.2).at(0, 0.5, 0.9), floor(linear(), 0.2, clip=True).at(0, 0.5, 0.9)
    ((1.0, 0.6, 0.28), (1.0, 0.5, 0.2))
    """

    inner: Schedule[Any]
    value: Low
    _: KW_ONLY
    clip: bool = False

    def __call__(self, state: Any, clock: Clock, signals: Signals | None) -> tuple[Setting, Any]:
        setting, following = self.inner(state, clock, signals)
        factor = setting.factor
        factor = max(factor, self.value) if self.clip else factor + (1 - factor) * self.value
        return setting._replace(factor=factor), following


@schedule(paper="the noise of timm's schedulers (lr_noise), over the whole budget", horizon="as given")
@dataclass(frozen=True, slots=True)
class noise(Combinator):
    r"""Noise: `inner`, changed by a random share of itself at each update, which may take it above the peak.

        factor(t) = inner(t) (1 + z(t))

    z(t) is normal with standard deviation `std`, truncated at +-`limit`. It depends only on `seed` and the update's
    number, so all budgets see the same noise at the same update. timm draws from the same distribution with another
    generator; its seeds are shifted copies of each other.

    >>> from schedules.constant import constant
    >>> from schedules.schedule import factors
    >>> [round(s.factor, 3) for s in factors(noise(constant(), std=0.1), total=4, epoch_steps=2, peak_lr=0.1)]
    [0.934, 1.067, 1.071, 1.067]
    """

    inner: Schedule[Any]
    _: KW_ONLY
    std: Positive = 1.0
    limit: Part = 0.67
    seed: Count = 0

    def __call__(self, state: Any, clock: Clock, signals: Signals | None) -> tuple[Setting, Any]:
        setting, following = self.inner(state, clock, signals)
        return setting._replace(factor=setting.factor * (1 + self.z(clock.step))), following

    def z(self, step: int) -> float:
        u = (random.Random(f"{self.seed} {step}").getrandbits(52) + 0.5) / 2**52  # never 0 or 1, where inv_cdf ends
        normal = NormalDist(0.0, self.std)
        below = normal.cdf(-self.limit)
        return max(-self.limit, min(self.limit, normal.inv_cdf(below + u * (1 - 2 * below))))
