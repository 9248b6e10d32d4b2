"""The way out: any schedule as a `torch.optim.lr_scheduler.LRScheduler`, in anybody's loop. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

import schedules
from bench.contract import Clock, InputError, Schedule, Signals
from schedules.schedule import pack, steer, unpack


class Scheduler(LRScheduler):
    """A schedule that sets the LR (and the momentum, if it cycles it) of each group of an optimizer.

    The LR that a group has when this is made is its peak LR. An open-loop schedule is stepped after each
    `optimizer.step()`, like any scheduler of torch:

        scheduler = Scheduler(optimizer, "warmup(cosine, fraction=0.05)", total=updates, epoch_steps=len(loader))
        ...
        loss.backward(); optimizer.step(); scheduler.step()

    A closed-loop one decides by what the update is about to do, so it is stepped before `optimizer.step()`, and told
    what it `needs`: `loss.backward(); scheduler.step(loss=loss.item()); optimizer.step()`.

    After `total` updates the LR stays as it is. `state_dict` holds all that there is, and loading it sets the LR, so
    resuming is exact in whatever order things are made and loaded.

    Args:
        optimizer: Any of torch.
        schedule: A schedule, or its text.
        total: The budget in updates.
        epoch_steps: Updates per epoch.

    Raises:
        InputError: a text that spells no schedule, or a budget below one update.
    """

    def __init__(self, optimizer: Optimizer, schedule: str | Schedule[Any], *, total: int, epoch_steps: int):
        if min(total, epoch_steps) < 1:
            raise InputError(f"total {total}, epoch_steps {epoch_steps}: give 1 or more")
        self.schedule = schedules.parse(schedule) if isinstance(schedule, str) else schedule
        self.total, self.epoch_steps = total, epoch_steps
        self.states = [self.schedule.init() for _ in optimizer.param_groups]
        self.momenta: list[float | None] = [None for _ in optimizer.param_groups]
        super().__init__(optimizer)

    def _initial_step(self) -> None:
        """Called once by torch: an open-loop schedule sets out, a closed-loop one waits to be told of update 0."""
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]
        if not self.schedule.needs:
            self.step()

    def step(self, epoch: int | None = None, **seen: float) -> None:
        """Go on to the next update; `epoch` is there for torch's sake and is not looked at.

        A closed-loop schedule is told the signals (`bench.contract.Signals`) that it needs.

        Raises:
            InputError: a signal is missing.
        """
        if missing := self.schedule.needs - seen.keys():
            call = f"step({', '.join(f'{name}=...' for name in sorted(missing))})"
            raise InputError(f"schedule {self.schedule.text} is closed loop: call {call} before optimizer.step()")
        told = {name: seen.get(name, 0.0) for name in ("loss", "grad_norm")} | seen
        signals = Signals(**told) if self.schedule.needs else None  # type: ignore[arg-type]  # all are numbers
        self.last_epoch += 1
        if self.last_epoch >= self.total:
            return
        for i, peak_lr in enumerate(map(float, self.base_lrs)):
            clock = Clock(self.last_epoch, self.total, self.epoch_steps, peak_lr)
            (factor, self.momenta[i]), self.states[i] = self.schedule(self.states[i], clock, signals)
            self._last_lr[i] = peak_lr * factor
        self._steer()

    def _steer(self) -> None:
        for group, lr, momentum in zip(self.optimizer.param_groups, self._last_lr, self.momenta, strict=True):
            steer(self.optimizer, group, float(lr), momentum)

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs, as numbers, texts and lists."""
        return {
            "schedule": [self.schedule.text, self.total, self.epoch_steps],
            "last_epoch": self.last_epoch,
            "base_lrs": [float(lr) for lr in self.base_lrs],
            "lrs": [float(lr) for lr in self._last_lr],
            "momenta": list(self.momenta),
            "states": [pack(state) for state in self.states],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`, and set the optimizer's LR as it stood.

        Raises:
            InputError: it is that of another schedule or budget.
        """
        mine = self.state_dict()["schedule"]
        if list(state_dict["schedule"]) != mine:
            raise InputError(f"this scheduler is {mine} and cannot go on from the state of {state_dict['schedule']}")
        self.last_epoch, self.base_lrs = state_dict["last_epoch"], list(state_dict["base_lrs"])
        self._last_lr, self.momenta = list(state_dict["lrs"]), list(state_dict["momenta"])
        self.states = [unpack(self.schedule.init(), packed) for packed in state_dict["states"]]
        self._steer()
