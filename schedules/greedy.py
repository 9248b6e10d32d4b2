"""Closed loop: raise the LR while the loss falls, lower it while it does not fall."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, inf
from typing import Annotated, NamedTuple

from schedules.arguments import Count, Low, Part, Range, Reach
from schedules.contract import Clock, Signals
from schedules.schedule import schedule

Some = Annotated[int, Range(1, inf, "[)")]


class GreedyState(NamedTuple):
    losses: tuple[float, ...]  # of the last `window` updates, the latest one last; zeros before the first update
    n_losses: int = 0  # number of losses so far, at most `window`
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

    A loss is lower if it is lower by `margin`. The update after a loss is the first that it affects. `rest` updates
    after a cut, and `hold` after a rise, do not count. After `reset` cuts in a row that end at `low`, all starts again
    at the peak. Losses are means of the last `window` ones. The published bounds are the LRs 0.001 and 1; at a peak of
    0.1 they are these defaults. Here the first factor is 1 at any peak, and the bounds are relative to it.

    >>> schedule = greedy(patience=0, gamma=0.5)
    >>> state = schedule.init()._replace(losses=(0.9,), n_losses=1, scale=0.5, best=0.9)
    >>> clock = Clock(step=3, total=9, epoch_steps=3, peak_lr=0.1)
    >>> schedule(state, clock, Signals(loss=0.8, grad_norm=0.0))[1].scale
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

    def init(self) -> GreedyState:
        return GreedyState((0.0,) * self.window)

    def __call__(self, state: GreedyState, clock: Clock, signals: Signals) -> tuple[float, GreedyState]:
        n = min(state.n_losses + 1, self.window)
        losses = (*state.losses[1:], signals.loss)
        following = self.judge(state._replace(losses=losses, n_losses=n), fsum(losses[-n:]) / n)
        return state.scale, following

    def judge(self, state: GreedyState, loss: float) -> GreedyState:
        """State after an update with this smoothed loss."""
        if state.resting:
            return state._replace(resting=state.resting - 1, good=0, bad=0)
        if loss < state.best - self.margin:
            state = state._replace(best=loss, good=state.good + 1, bad=0)
        else:
            state = state._replace(good=0, bad=state.bad + 1)
        if state.good > self.patience:
            higher = min(state.scale / self.gamma, self.high)
            return state._replace(scale=higher, good=0, resting=self.hold, grounded=0)
        return self.cut(state) if state.bad > self.patience else state

    def cut(self, state: GreedyState) -> GreedyState:
        lower = max(state.scale * self.gamma, self.low)
        grounded = state.grounded + (lower == self.low)
        if grounded >= self.reset:
            return self.init()._replace(resting=self.rest)
        return state._replace(scale=lower, bad=0, resting=self.rest, grounded=grounded)
