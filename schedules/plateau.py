"""Closed loop: cut the LR when the loss stops falling."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from schedules.arguments import Count, Low, Part
from schedules.contract import Clock, Signals
from schedules.schedule import schedule


class PlateauState(NamedTuple):
    cuts: int = 0  # so far
    best: float = inf  # lowest mean loss of an epoch
    bad: int = 0  # epochs in a row without a new best
    resting: int = 0  # epochs still to rest after a cut
    loss: float = 0.0  # sum over the updates of the epoch so far
    updates: int = 0  # number of updates in that sum


@schedule(paper="torch.optim.lr_scheduler.ReduceLROnPlateau", needs={"loss"})
@dataclass(frozen=True, slots=True, kw_only=True)
class plateau:
    r"""Reduce on plateau: cut the LR when the mean training loss of an epoch has not improved for a while.

    With n the cuts so far,

        factor = max(gamma^n, floor)

    An epoch is bad unless its mean loss is below (1 - `margin`) times the best so far. More than `patience` bad epochs
    in a row lead to a cut; the `rest` epochs after a cut are never bad. The training loss is lower-is-better in every
    task; of the metrics this is not true.

    >>> state = plateau(patience=0).init()._replace(best=1.0, loss=1.5, updates=1)
    >>> signals = Signals(loss=1.5, grad_norm=0.0)
    >>> plateau(patience=0)(state, Clock(step=3, total=9, epoch_steps=3, peak_lr=0.1), signals)[0]
    Setting(factor=0.1, momentum=None)
    """

    patience: Count = 10
    gamma: Part = 0.1
    margin: Low = 1e-4
    rest: Count = 0
    floor: Low = 0.0

    def init(self) -> PlateauState:
        return PlateauState()

    def __call__(self, state: PlateauState, clock: Clock, signals: Signals) -> tuple[float, PlateauState]:
        if state.updates and clock.step % clock.epoch_steps == 0:
            state = self.judge(state, state.loss / state.updates)._replace(loss=0.0, updates=0)
        state = state._replace(loss=state.loss + signals.loss, updates=state.updates + 1)
        return max(self.gamma**state.cuts, self.floor), state

    def judge(self, state: PlateauState, loss: float) -> PlateauState:
        """State after an epoch with this mean loss."""
        better = loss < (1 - self.margin) * state.best
        state = state._replace(best=loss, bad=0) if better else state._replace(bad=state.bad + 1)
        if state.resting:
            state = state._replace(resting=state.resting - 1, bad=0)
        if state.bad > self.patience:
            state = state._replace(cuts=state.cuts + 1, resting=self.rest, bad=0)
        return state
