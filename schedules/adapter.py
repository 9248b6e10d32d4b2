"""Any schedule as a `torch.optim.lr_scheduler.LRScheduler`, for any training loop. Imports torch."""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

import schedules
from schedules.contract import Clock, InputError, Schedule, Signals
from schedules.groups import copy_lr, fill, set_momentum
from schedules.schedule import pack, unpack


class Scheduler(LRScheduler):
    """A schedule that sets the LR (and the momentum, if it cycles it) of each group of an optimizer.

    The peak LR of a group is its LR when the scheduler is created. An open-loop schedule is stepped after each
    `optimizer.step()`, like any scheduler of torch:

        scheduler = Scheduler(optimizer, "warmup(cosine, fraction=0.05)", total=updates, epoch_steps=len(loader))
        ...
        loss.backward(); optimizer.step(); scheduler.step()

    A closed-loop schedule decides on the update that comes next, so it is stepped before `optimizer.step()`, with the
    signals that it `needs`: `loss.backward(); scheduler.step(loss=loss.item()); optimizer.step()`.

    After `total` updates the LR stays as it is. `state_dict` is complete, and loading it sets the LR, so resuming is
    exact in whatever order optimizer and scheduler are created and loaded.

    As with torch's own schedulers, factors from elsewhere (a `ChainedScheduler`, a `ReduceLROnPlateau`, a change by
    hand) stay in the LR; a group added later continues from the first group's state, with its own LR as its peak; and a
    stage of a `SequentialLR` begins at the group's `initial_lr`.

    Args:
        optimizer: Any optimizer of torch.
        schedule: A schedule, or its text.
        total: The budget in updates.
        epoch_steps: Updates per epoch.
        last_epoch: The last update before, after which an open-loop schedule continues, with the groups' `initial_lr`
            as peaks; -1 begins at update 0.

    Raises:
        InputError: a text that is not a schedule, or a budget that is no whole number of updates, 1 or more.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: str | Schedule[Any],
        *,
        total: int,
        epoch_steps: int,
        last_epoch: int = -1,
    ):
        total, epoch_steps = _updates("total", total), _updates("epoch_steps", epoch_steps)
        self.schedule = schedules.parse(schedule) if isinstance(schedule, str) else schedule
        if self.schedule.needs and last_epoch != -1:
            raise InputError(f"schedule {self.schedule.text} is closed loop: it continues by load_state_dict only")
        self.total, self.epoch_steps = total, epoch_steps
        self.states: list[Any] = []
        self.momenta: list[float | None] = []
        self.factors: list[float] = []  # of the current update
        self.scales: list[float] = []  # by which others have multiplied the LR since
        super().__init__(optimizer, last_epoch)

    def _initial_step(self) -> None:
        """Start an open-loop schedule. Called by torch, and a second time by `SequentialLR`."""
        self._step_count = 0
        if self.last_epoch >= 0:  # continue after that update
            self._step_count = 1
            self._update_lr(self.last_epoch + 1)
            return
        self._begin([float(group["lr"]) or float(group["initial_lr"]) for group in self.optimizer.param_groups])
        self._last_lr = [copy_lr(group["lr"]) for group in self.optimizer.param_groups]
        if not self.schedule.needs:
            self._step_count = 1
            self._update_lr()

    def _begin(self, peak_lrs: list[float]) -> None:
        self.last_epoch = -1
        self.base_lrs: list[Any] = peak_lrs
        self.states = [self.schedule.init() for _ in peak_lrs]
        self.momenta = [None for _ in peak_lrs]
        self.factors, self.scales = [1.0 for _ in peak_lrs], [1.0 for _ in peak_lrs]

    def step(self, epoch: int | None = None, **signals: Any) -> None:
        """Go on to the next update, or to the one at `epoch`, which torch deprecates.

        A closed-loop schedule gets the signals (`schedules.contract.Signals`) that it needs as keywords.

        Raises:
            InputError: a missing or unknown signal, or Accelerate would step this more than once an update.
        """
        _refuse_many_steps_an_update(self.schedule.text)
        if missing := self.schedule.needs - signals.keys():
            call = f"step({', '.join(f'{name}=...' for name in sorted(missing))})"
            raise InputError(f"schedule {self.schedule.text} is closed loop: call {call} before optimizer.step()")
        if unknown := signals.keys() - set(Signals._fields):
            raise InputError(f"step() got {', '.join(sorted(unknown))}: signals are {', '.join(Signals._fields)}")
        if not self.schedule.needs:
            super().step(epoch)
            return
        self._step_count += 1
        numbers = {name: value.item() if isinstance(value, Tensor) else value for name, value in signals.items()}
        self._advance(Signals(**({"loss": 0.0, "grad_norm": 0.0} | numbers)))

    def _update_lr(self, epoch: int | None = None) -> None:
        """Hook of torch: `SequentialLR` calls it with 0 at the beginning of this scheduler's stage."""
        if epoch is None:
            self._advance(None)
            return
        if self.schedule.needs:
            raise InputError(
                f"schedule {self.schedule.text} is closed loop, and cannot be stepped to update {epoch} without signals"
            )
        self._begin([float(group["initial_lr"]) for group in self.optimizer.param_groups])
        for step in range(min(epoch, self.total)):
            for i, peak_lr in enumerate(self.base_lrs):
                self.states[i] = self.schedule(self.states[i], self._clock(step, peak_lr), None)[1]
        self.last_epoch = epoch - 1
        self._advance(None, absolute=True)

    def _clock(self, step: int, peak_lr: float) -> Clock:
        return Clock(step, self.total, self.epoch_steps, peak_lr)

    def _advance(self, signals: Signals | None, *, absolute: bool = False) -> None:
        self._join()
        if not absolute:
            self._rescale()
        self.last_epoch += 1
        if self.last_epoch < self.total:
            for i, peak_lr in enumerate(map(float, self.base_lrs)):
                clock = self._clock(self.last_epoch, peak_lr)
                (self.factors[i], self.momenta[i]), self.states[i] = self.schedule(self.states[i], clock, signals)
            self._steer()
        self._last_lr = [copy_lr(group["lr"]) for group in self.optimizer.param_groups]

    def _join(self) -> None:
        """Add the groups that are new in the optimizer, with the state of the first one."""
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            group.setdefault("initial_lr", copy_lr(group["lr"]))
            self.base_lrs.append(float(group["lr"]))
            self._last_lr.append(copy_lr(group["lr"]))
            self.states.append(self.states[0])
            self.momenta.append(self.momenta[0])
            self.factors.append(1.0)
            self.scales.append(1.0)

    def _rescale(self) -> None:
        """Turn an LR that something else has set since into a scale."""
        for i, group in enumerate(self.optimizer.param_groups):
            lr, usual_lr = float(group["lr"]), float(self.base_lrs[i]) * self.factors[i]
            if lr != float(self._last_lr[i]) and usual_lr:
                self.scales[i] = lr / usual_lr

    def _steer(self) -> None:
        for i, group in enumerate(self.optimizer.param_groups):
            lr = float(self.base_lrs[i]) * self.factors[i]
            fill(group, "lr", lr if self.scales[i] == 1 else lr * self.scales[i])
            set_momentum(self.optimizer, group, self.momenta[i])

    def get_lr(self) -> list[float | Tensor]:
        """The current LRs. Torch's interface has it; `get_last_lr` is the one to call."""
        return self.get_last_lr()

    def get_last_lr(self) -> list[float | Tensor]:
        """Copies of the LR of each group as of the last step."""
        return [copy_lr(lr) for lr in self._last_lr]

    def state_dict(self) -> dict[str, Any]:
        """Complete state for resuming, as numbers, texts and lists."""
        self._join()
        return {
            "schedule": [self.schedule.text, self.total, self.epoch_steps],
            "last_epoch": self.last_epoch,
            "step_count": self._step_count,
            "base_lrs": [float(lr) for lr in self.base_lrs],
            "lrs": [float(lr) for lr in self._last_lr],
            "factors": list(self.factors),
            "scales": list(self.scales),
            "momenta": list(self.momenta),
            "states": [pack(state) for state in self.states],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`, and set the optimizer's LR to the saved one.

        Raises:
            InputError: the state of another schedule or budget, or of more groups than the optimizer has.
        """
        own, other = [self.schedule.text, self.total, self.epoch_steps], list(state_dict["schedule"])
        if other != own:
            raise InputError(f"this scheduler is {own} and cannot go on from the state of {state_dict['schedule']}")
        groups, count = self.optimizer.param_groups, len(state_dict["base_lrs"])
        if count > len(groups):
            raise InputError(f"the optimizer has {len(groups)} groups, and the state is that of {count}")
        self.last_epoch, self.base_lrs = state_dict["last_epoch"], list(state_dict["base_lrs"])
        self._step_count = state_dict.get("step_count", self.last_epoch + 1)
        self.momenta, self.scales = list(state_dict["momenta"]), list(state_dict.get("scales", [1.0] * count))
        pairs = zip(state_dict["lrs"], self.base_lrs, strict=True)
        ratios = [lr / peak_lr if peak_lr else 1.0 for lr, peak_lr in pairs]
        self.factors = list(state_dict.get("factors", ratios))  # older states have no factors
        self.states = [unpack(self.schedule.init(), packed) for packed in state_dict["states"]]
        for group, lr, momentum in zip(groups, state_dict["lrs"], self.momenta, strict=False):
            fill(group, "lr", lr)
            set_momentum(self.optimizer, group, momentum)
        self._last_lr = [copy_lr(group["lr"]) for group in groups[:count]]
        self._join()


def _updates(name: str, value: Any) -> int:
    """A number of updates: whole (10.0, and numpy's 10, count), finite, and 1 or more.

    Raises:
        InputError: anything else.
    """
    try:
        number = operator.index(value) if not isinstance(value, float) else int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if isinstance(value, bool) or number != value or number < 1:
        raise InputError(f"{name} {value!r}: give a whole number of updates, 1 or more")
    return number


def _refuse_many_steps_an_update(text: str) -> None:
    """Refuse to be stepped by Accelerate once for each process; it assumes schedules counted in one process's batches.

    Raises:
        InputError: called by a prepared scheduler that does so, with more than one process.
    """
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__") in (__name__, LRScheduler.__module__):
        frame = frame.f_back
    if frame.f_globals.get("__name__") != "accelerate.scheduler":
        return
    wrapper, world = frame.f_locals["self"], frame.f_globals["AcceleratorState"]().num_processes
    if wrapper.step_with_optimizer and not wrapper.split_batches and world > 1:
        raise InputError(
            f"schedule {text}: Accelerate steps a prepared scheduler {world} times an update, once for each process; "
            "keep it out of accelerator.prepare() and step it yourself where accelerator.sync_gradients is true, "
            "or make Accelerator(step_scheduler_with_optimizer=False); its total is in updates"
        )
