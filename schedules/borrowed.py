"""Schedulers of torch, timm and transformers as schedules: stepped on an optimizer of one weight, whose LR is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from schedules.arguments import fit
from schedules.contract import Clock, InputError, Setting
from schedules.refusals import AMOUNT, amounts, check_counts, check_texts, try_out
from schedules.replay import REPLAYS
from schedules.schedule import BuiltSchedule, formula
from schedules.spec import choose, render
from schedules.user_code import blamed

Per = Literal["update", "epoch"]

MODULES = {"torch": "torch.optim.lr_scheduler", "timm": "timm.scheduler", "transformers": "transformers.optimization"}

CLOSED_LOOP = {
    "ReduceLROnPlateau": "plateau",
    "PlateauLRScheduler": "plateau",
    "get_reduce_on_plateau_schedule": "plateau",
    "GreedyLR": "greedy",
    "get_greedy_schedule": "greedy",
}
"""Schedulers that need a loss, and the schedule of the catalogue that does the same."""


def _library(paper: str) -> Callable[[Any], Any]:
    def decorate(factory: Any) -> Any:
        signature = inspect.signature(factory, eval_str=True)
        vars(factory).update(paper=paper, formula=formula(factory), horizon="as given", __signature__=signature)
        return factory

    return decorate


@_library("torch.optim.lr_scheduler, as installed")
def torch(name: str, *, per: Per = "update", **settings: Any) -> BuiltSchedule:
    r"""A scheduler of torch by its `name`, stepped after each update, or each epoch, by `per`.

    With t the update,

        factor(t) = (the LR that it leaves at update t) / peak_lr

    Its optimizer begins at the peak LR, so LRs among its settings are absolute. A setting may be 'total', 'epochs',
    'epoch_steps' or 'peak_lr', of the cell that trains, or a multiple, '0.1 * total', which is rounded.

    >>> from schedules.schedule import factors
    >>> annealing = torch("CosineAnnealingLR", T_max="total")
    >>> annealing, [round(s.factor, 3) for s in factors(annealing, total=4, epoch_steps=2, peak_lr=0.1)]
    (torch('CosineAnnealingLR', T_max='total'), [1.0, 0.854, 0.5, 0.146])
    """
    return _borrow("torch", name, per, settings)


@_library("timm.scheduler, as installed")
def timm(name: str, **settings: Any) -> BuiltSchedule:
    r"""A scheduler of timm by its `name`, stepped after each update and each epoch, as in timm's own training.

        factor(t) = (the LR that it leaves at update t) / peak_lr

    Settings are as in `torch`. Update 0 has the LR that the constructor sets, which may be the peak, off the curve.

    >>> from schedules.schedule import factors
    >>> annealing = timm("CosineLRScheduler", t_initial="epochs")
    >>> [round(s.factor, 3) for s in factors(annealing, total=8, epoch_steps=2, peak_lr=0.1)]
    [1.0, 1.0, 0.854, 0.854, 0.5, 0.5, 0.146, 0.146]
    """
    return _borrow("timm", name, "update", settings)


@_library("transformers.optimization, as installed")
def transformers(name: str, *, per: Per = "update", **settings: Any) -> BuiltSchedule:
    r"""A schedule of transformers by the `name` of the function that makes it.

        factor(t) = (the LR that it leaves at update t) / peak_lr

    Settings are as in `torch`.

    >>> lengths = {"num_decay_steps": "0.2 * total", "num_training_steps": "total"}
    >>> wsd = transformers("get_wsd_schedule", num_warmup_steps=0, decay_type="linear", **lengths)
    >>> wsd(None, Clock(step=90, total=100, epoch_steps=10, peak_lr=0.1))[0].factor
    0.5
    """
    return _borrow("transformers", name, per, settings)


def _borrow(library: str, name: str, per: Per, settings: dict[str, Any]) -> BuiltSchedule:
    fit(library, "name", name, str)
    fit(library, "per", per, Per)
    if name in CLOSED_LOOP:
        raise InputError(f"schedule {library}: {name} needs the loss: use the schedule {CLOSED_LOOP[name]} instead")
    make = _maker(library, name)
    try:
        inspect.signature(make).bind(None, **settings)
    except TypeError as error:
        raise InputError(f"schedule {library}: {name}: {error}") from None
    parameters = inspect.signature(make).parameters
    for key, value in settings.items():
        where = f"schedule {library}: {name}: {key}"
        check_texts(where, value, parameters.get(key), depth=0)
        check_counts(where, value, parameters.get(key))
    text = render(library, [name], ({} if per == "update" else {"per": per}) | settings)
    units = {amount[2] for value in settings.values() for amount in amounts(value)}
    horizon = "relative" if units & {"total", "epochs"} else "absolute"
    machine = Borrowed(text, library, name, per, tuple(settings.items()))
    try_out(machine, relative=horizon == "relative")
    return BuiltSchedule(text, machine, frozenset(), horizon)


def _maker(library: str, name: str) -> Callable[..., Any]:
    """Class or function of a library that makes the scheduler of that name for an optimizer.

    Raises:
        InputError: unknown name, with those that the library has.
    """
    makers = {}
    for key, value in vars(import_module(MODULES[library])).items():
        if key[0] == "_" or not callable(value) or next(iter(_parameters(value)), "") != "optimizer":
            continue
        if not isinstance(value, type) or key in CLOSED_LOOP or issubclass(value, _kind(library)):
            makers[key] = value
    maker: Callable[..., Any] = choose(name, makers, f"scheduler of {library}")
    return maker


def _kind(library: str) -> Any:
    """Base class of the schedulers of a library."""
    module, kind = ("timm.scheduler.scheduler", "Scheduler") if library == "timm" else (MODULES["torch"], "LRScheduler")
    return getattr(import_module(module), kind)


def _parameters(function: Any) -> dict[str, Any]:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # C code, or a type of annotations
        return {}


def within(schedule: Any) -> Iterator[Borrowed]:
    """Schedulers of other libraries in a schedule: itself, or parts of a combinator, at any depth."""
    machine = getattr(schedule, "machine", None)
    if isinstance(machine, Borrowed):
        yield machine
    for part in (getattr(machine, "inner", None), *getattr(machine, "parts", ())):
        yield from () if part is None else within(part)


@dataclass(frozen=True, slots=True)
class Borrowed:
    """Machine that replays another library's scheduler. Pure: its cache is a function of the clock."""

    text: str
    library: str
    name: str
    per: Per
    settings: tuple[tuple[str, Any], ...]

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Those of the scheduler's constructor."""
        return _parameters(_maker(self.library, self.name))

    def init(self) -> None:
        return None

    def __call__(self, state: None, clock: Clock, signals: object) -> tuple[Setting, None]:
        with blamed(f"schedule {self.text}: {self.name}"):
            return REPLAYS.setting(self, clock), None

    def amount(self, value: Any, clock: Clock) -> Any:
        """A setting with its amounts as numbers, for the cell of this clock."""
        if isinstance(value, tuple | list):
            return [self.amount(part, clock) for part in value]
        if isinstance(value, dict):
            return {key: self.amount(part, clock) for key, part in value.items()}
        match = AMOUNT.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        multiple, unit = float(match[1] or 1), match[2]
        if unit == "peak_lr":
            return multiple * clock.peak_lr
        whole = clock.total / clock.epoch_steps if unit == "epochs" else getattr(clock, unit)
        return round(multiple * whole)

    def trace(self, clock: Clock) -> Iterator[Setting]:
        """Factor and momentum in the optimizer at update 0, 1 and so on."""
        from torch import nn, optim, zeros

        weight = nn.Parameter(zeros(1))
        optimizer = optim.SGD([weight], lr=clock.peak_lr, momentum=0.9)
        group = optimizer.param_groups[0]
        settings = {key: self.amount(value, clock) for key, value in self.settings}
        scheduler: Any = _maker(self.library, self.name)(optimizer, **settings)
        # Every scheduler stores the LR that it found as `initial_lr`.
        if not isinstance(scheduler, _kind(self.library)) or "initial_lr" not in group:
            raise InputError(f"schedule {self.text}: {self.name} is no scheduler: it sets no LR of an optimizer")
        step = 0
        while True:
            momentum = group["momentum"] if "max_momentum" in group else None  # from schedulers that cycle it
            yield Setting(float(group["lr"]) / clock.peak_lr, momentum)
            optimizer.step()
            step += 1
            if self.library == "timm":
                scheduler.step_update(num_updates=step)
                if step % clock.epoch_steps == 0:
                    scheduler.step(epoch=step // clock.epoch_steps)
            elif self.per == "update" or step % clock.epoch_steps == 0:
                scheduler.step()
