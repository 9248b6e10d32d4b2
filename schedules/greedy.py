"""Closed loop: raise the LR while the loss falls, lower it while it does not."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, inf
from typing import Annotated, NamedTuple

from schedules.arguments import Count, Low, Part, Range, Reach
from schedules.contract import Clock, Signals
from schedules.schedule import schedule

Some = Annotated[int, Range(1, inf, "[)")]


class Pace(NamedTuple):
    losses: tuple[float, ...]  # of the last updates, the latest one last
    seen: int = 0  # of these, up to the length of the window
    scale: float = 1.0  # the factor
    best: float = inf  # lowest smoothed loss
    good: int = 0  # updates in a row with a new best
    bad: int = 0  # updates in a row without
    resting: int = 0  # updates still to rest after a change
    grounded: int = 0  # cuts that ended at the lowest factor since the last rise


@schedule(paper="arXiv:2512.14527 (GreedyLR), as in transformers.optimization.GreedyLR", needs={"loss"})
@dataclass(frozen=True, slots=True, kw_only=True)
class greedy:
    r"""Greedy: raise the LR after a run of new lowest losses, lower it after a run without one.

    With f the factor so far, and runs of more than `patience` updates,

        factor = min(f / gamma, high)    after a run in which each loss was the lowest yet
                 max(f gamma, low)       after a run in which none was

    A loss is lower when it is so by `margin`. The update after a loss is the first to feel it. `rest` updates after a
    cut, and `hold` after a rise, count for nothing. After `reset` cuts in a row that end at `low`, all begins anew at
    the peak. Losses are means of the last `window` ones. The published bounds are LRs, 0.001 and 1, to which a peak of
    0.1 gives these defaults; whatever the peak, the first factor is 1 here, and the bounds lie around it.

    >>> it = greedy(patience=0, gamma=0.5)
    >>> fallen = it.init()._replace(losses=(0.9,), seen=1, scale=0.5, best=0.9)
    >>> it(fallen, Clock(step=3, total=9, epoch_steps=3, peak_lr=0.1), Signals(loss=0.8, grad_norm=0.0))[1].scale
    1.0
    """

    patience: Count = 10
    gamma: Part = 0.95
    margin: Low = 1e-6
    rest: Count = 0
    hold: Count = 0
    low: Low = 0.01
    high: Reach = 10.0
    window: Annotated[int, Range(1, 1000, "[]")] = 1
    reset: Some = 500

    def init(self) -> Pace:
        return Pace((0.0,) * self.window)

    def __call__(self, pace: Pace, clock: Clock, seen: Signals) -> tuple[float, Pace]:
        n = min(pace.seen + 1, self.window)
        losses = (*pace.losses[1:], seen.loss)
        return pace.scale, self.judge(pace._replace(losses=losses, seen=n), fsum(losses[-n:]) / n)

    def judge(self, pace: Pace, loss: float) -> Pace:
        """The update just looked at had this smoothed loss."""
        if pace.resting:
            return pace._replace(resting=pace.resting - 1, good=0, bad=0)
        if loss < pace.best - self.margin:
            pace = pace._replace(best=loss, good=pace.good + 1, bad=0)
        else:
            pace = pace._replace(good=0, bad=pace.bad + 1)
        if pace.good > self.patience:
            higher = min(pace.scale / self.gamma, self.high)
            return pace._replace(scale=higher, good=0, resting=self.hold, grounded=0)
        return self.cut(pace) if pace.bad > self.patience else pace

    def cut(self, pace: Pace) -> Pace:
        lower = max(pace.scale * self.gamma, self.low)
        grounded = pace.grounded + (lower == self.low)
        if grounded >= self.reset:
            return self.init()._replace(resting=self.rest)
        return pace._replace(scale=lower, bad=0, resting=self.rest, grounded=grounded)
