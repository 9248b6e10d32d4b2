"""The schedulers of torch, timm and transformers, as schedules: stepped on an optimizer of one weight, and read off."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from schedules.arguments import fit
from schedules.contract import Clock, InputError, Setting
from schedules.refusals import AMOUNT, amounts, check_texts, try_out
from schedules.replay import REPLAYS
from schedules.schedule import Built, formula
from schedules.spec import choose, render
from schedules.user_code import blamed

Per = Literal["update", "epoch"]

MODULES = {"torch": "torch.optim.lr_scheduler", "timm": "timm.scheduler", "transformers": "transformers.optimization"}

TOLD = {
    "ReduceLROnPlateau": "plateau",
    "PlateauLRScheduler": "plateau",
    "get_reduce_on_plateau_schedule": "plateau",
    "GreedyLR": "greedy",
    "get_greedy_schedule": "greedy",
}
"""Those that are told a loss, and the schedule that does the same here."""


def _lends(paper: str) -> Callable[[Any], Any]:
    def decorate(factory: Any) -> Any:
        signature = inspect.signature(factory, eval_str=True)
        vars(factory).update(paper=paper, formula=formula(factory), horizon="as given", __signature__=signature)
        return factory

    return decorate


@_lends("torch.optim.lr_scheduler, as installed")
def torch(name: str, *, per: Per = "update", **settings: Any) -> Built:
    r"""A scheduler of torch by its `name`, stepped after each update, or each epoch, by `per`.

    With t the update,

        factor(t) = (the LR that it leaves at update t) / peak_lr

    Its optimizer begins at the peak LR, so LRs among its settings are meant as they stand. A setting may be 'total',
    'epochs', 'epoch_steps' or 'peak_lr', of the cell that trains, or a multiple, '0.1 * total', which is rounded.

    >>> from schedules.schedule import factors
    >>> it = torch("CosineAnnealingLR", T_max="total")
    >>> it, [round(s.factor, 3) for s in factors(it, total=4, epoch_steps=2, peak_lr=0.1)]
    (torch('CosineAnnealingLR', T_max='total'), [1.0, 0.854, 0.5, 0.146])
    """
    return _borrowed("torch", name, per, settings)


@_lends("timm.scheduler, as installed")
def timm(name: str, **settings: Any) -> Built:
    r"""A scheduler of timm by its `name`, told of each update and of each epoch that ends, as timm's own training does.

        factor(t) = (the LR that it leaves at update t) / peak_lr

    Settings are as those of `torch`. Update 0 runs at what the constructor leaves, which may be the peak off the curve.

    >>> from schedules.schedule import factors
    >>> it = timm("CosineLRScheduler", t_initial="epochs")
    >>> [round(s.factor, 3) for s in factors(it, total=8, epoch_steps=2, peak_lr=0.1)]
    [1.0, 1.0, 0.854, 0.854, 0.5, 0.5, 0.146, 0.146]
    """
    return _borrowed("timm", name, "update", settings)


@_lends("transformers.optimization, as installed")
def transformers(name: str, *, per: Per = "update", **settings: Any) -> Built:
    r"""A schedule of transformers by the `name` of the function that makes it.

        factor(t) = (the LR that it leaves at update t) / peak_lr

    Settings are as those of `torch`.

    >>> lengths = {"num_decay_steps": "0.2 * total", "num_training_steps": "total"}
    >>> it = transformers("get_wsd_schedule", num_warmup_steps=0, decay_type="linear", **lengths)
    >>> it(None, Clock(step=90, total=100, epoch_steps=10, peak_lr=0.1))[0].factor
    0.5
    """
    return _borrowed("transformers", name, per, settings)


def _borrowed(library: str, name: str, per: Per, settings: dict[str, Any]) -> Built:
    fit(library, "name", name, str)
    fit(library, "per", per, Per)
    if name in TOLD:
        raise InputError(f"schedule {library}: {name} is told the loss; what does so here is {TOLD[name]}")
    make = _maker(library, name)
    try:
        inspect.signature(make).bind(None, **settings)
    except TypeError as error:
        raise InputError(f"schedule {library}: {name}: {error}") from None
    signature = inspect.signature(make).parameters
    for key, value in settings.items():
        check_texts(f"schedule {library}: {name}: {key}", value, signature.get(key), depth=0)
    text = render(library, [name], ({} if per == "update" else {"per": per}) | settings)
    units = {spelled[2] for value in settings.values() for spelled in amounts(value)}
    horizon = "relative" if units & {"total", "epochs"} else "absolute"
    machine = Borrowed(text, library, name, per, tuple(settings.items()))
    try_out(machine, relative=horizon == "relative")
    return Built(text, machine, frozenset(), horizon)


def _maker(library: str, name: str) -> Callable[..., Any]:
    """What makes that scheduler of an optimizer.

    Raises:
        InputError: naming those that there are.
    """
    makers = {
        key: thing
        for key, thing in vars(import_module(MODULES[library])).items()
        if key[0] != "_" and callable(thing) and next(iter(_parameters(thing)), "") == "optimizer"
        if not isinstance(thing, type) or key in TOLD or issubclass(thing, _kind(library))
    }
    maker: Callable[..., Any] = choose(name, makers, f"scheduler of {library}")
    return maker


def _kind(library: str) -> Any:
    """What the schedulers of a library are."""
    module, kind = ("timm.scheduler.scheduler", "Scheduler") if library == "timm" else (MODULES["torch"], "LRScheduler")
    return getattr(import_module(module), kind)


def _parameters(thing: Any) -> dict[str, Any]:
    try:
        return dict(inspect.signature(thing).parameters)
    except (TypeError, ValueError):  # what is written in C, or is a type of annotation
        return {}


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A machine that replays another library's scheduler. Pure: what is cached is a function of the clock."""

    text: str
    library: str
    name: str
    per: Per
    settings: tuple[tuple[str, Any], ...]

    def init(self) -> None:
        return None

    def __call__(self, state: None, clock: Clock, seen: object) -> tuple[Setting, None]:
        with blamed(f"schedule {self.text}: {self.name}"):
            return REPLAYS.setting(self, clock), None

    def amount(self, value: Any, clock: Clock) -> Any:
        """A setting as the scheduler gets it."""
        if isinstance(value, tuple | list):
            return [self.amount(part, clock) for part in value]
        if isinstance(value, dict):
            return {key: self.amount(part, clock) for key, part in value.items()}
        spelled = AMOUNT.fullmatch(value) if isinstance(value, str) else None
        if spelled is None:
            return value
        times = float(spelled[1] or 1)
        if spelled[2] == "peak_lr":
            return times * clock.peak_lr
        whole = clock.total / clock.epoch_steps if spelled[2] == "epochs" else getattr(clock, spelled[2])
        return round(times * whole)

    def settled(self, clock: Clock) -> Iterator[Setting]:
        """What stands in the optimizer at update 0, 1 and so on."""
        from torch import nn, optim, zeros

        weight = nn.Parameter(zeros(1))
        optimizer = optim.SGD([weight], lr=clock.peak_lr, momentum=0.9)
        group = optimizer.param_groups[0]
        settings = {key: self.amount(value, clock) for key, value in self.settings}
        scheduler: Any = _maker(self.library, self.name)(optimizer, **settings)
        if not isinstance(scheduler, _kind(self.library)) or "initial_lr" not in group:  # which all of them keep there
            raise InputError(f"schedule {self.text}: {self.name} is no scheduler: it sets no LR of an optimizer")
        step = 0
        while True:
            momentum = group["momentum"] if "max_momentum" in group else None  # left there by those that cycle it
            yield Setting(float(group["lr"]) / clock.peak_lr, momentum)
            optimizer.step()
            step += 1
            if self.library == "timm":
                scheduler.step_update(num_updates=step)
                if step % clock.epoch_steps == 0:
                    scheduler.step(epoch=step // clock.epoch_steps)
            elif self.per == "update" or step % clock.epoch_steps == 0:
                scheduler.step()
