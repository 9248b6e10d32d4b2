"""Optimizers from outside: a class of the user's, `my_opt.py:Lion(beta=0.9)`, or one of a library, `timm('lion')`.

The text of a user's class has the digest of its code in it, `my_opt.py:Lion@1f0c9a77(beta=0.9)`, as a task's has. Each
is tried out before anything trains, and refused if it would not train, fork and resume exactly
(`bench/engine/dry_run/optimizer.py`).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.contract import InputError
from bench.strategies import parameter_groups
from bench.strategies.optimizer import SHARED, Decay, Optimizer
from schedules import spec
from schedules.reference import installed
from schedules.user_code import blamed
from tasks import own_code

if TYPE_CHECKING:
    import torch
    from torch import nn

GROUP = "glideslope.optimizers"
"""Group of entry points for the optimizers of installed packages: `lion = "mypkg.mod:Lion"`."""

GIVEN = {"lr": "the LR comes from the schedule and the peak LR", "weight_decay": "the weight decay is the cell's"}
"""Arguments of a class that its call may not have, with the reason."""


@dataclass(frozen=True)
class LibraryCall:
    """A call of an optimizer of a library, by its name there."""

    library: str
    optimizer: str
    value: Callable[..., Any]
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.library}({self.optimizer!r})"

    @property
    def subject(self) -> str:
        return f"optimizer {self.name}"

    @property
    def text(self) -> str:
        return spec.render(self.library, (self.optimizer,), self.settings)


@dataclass(frozen=True)
class OutsideOptimizer(Optimizer):
    """An optimizer that is not of the catalogue. Its weight decay and its LR are those of its groups."""

    source: own_code.OwnCall | LibraryCall = None  # type: ignore[assignment]  # always given
    decay: Decay = "all"
    measured = True

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def text(self) -> str:
        """Canonical call, which parses back."""
        own = {k: v for k, v in self.kwargs.items() if k != "source" and v != getattr(type(self), k)}
        return replace(self.source, settings={**self.source.settings, **own}).text

    def unsteered(self) -> str:
        """See `Optimizer.unsteered`."""
        return "" if self._has_momentum else f"which {self.name} does not have"

    @cached_property
    def _has_momentum(self) -> bool:
        from torch import nn

        defaults = self.build(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), 0.0).defaults
        return "momentum" in defaults or bool(defaults.get("betas"))

    def build(
        self, model: nn.Module, weight_decay: float, lr: float = 1.0, fused: bool = False
    ) -> torch.optim.Optimizer:
        """See `Optimizer.build`.

        Raises:
            InputError: the class raises, or makes no optimizer of torch.
        """
        import torch

        groups = parameter_groups.groups(model, self.decays, weight_decay, self.multipliers(model))
        with blamed(self.source.subject):
            optimizer = self.source.value(groups, lr=lr, **self.source.settings)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InputError(f"{self.source.subject}: it should make a torch.optim.Optimizer, not {_kind(optimizer)}")
        return optimizer


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def own(call: spec.Call) -> OutsideOptimizer:
    """The optimizer of a call whose name is a reference, or the name that an installed package declares.

    Raises:
        InputError: no such class, or arguments that it has not.
    """
    call = replace(call, name=installed(GROUP).get(call.name, call.name))
    subject = f"optimizer {call.name}"
    if call.args:
        raise InputError(f"{subject}: its settings should be named, as in my_opt.py:Lion(beta=0.9)")
    shared, rest = _split(dict(call.kwargs), subject)
    parameters = list(inspect.signature(own_code.function(call.name, "optimizer").value).parameters.values())
    names = [p.name for p in parameters]
    if not names or not ("lr" in names or any(p.kind == p.VAR_KEYWORD for p in parameters)):
        raise InputError(f"{subject}: it should be a class of torch.optim.Optimizer, which takes weights, and lr")
    read = own_code.read(replace(call, kwargs=tuple(rest.items())), "optimizer", offered=(names[0], *GIVEN))
    return OutsideOptimizer(source=read, **shared)


def timm(name: str, **settings: Any) -> OutsideOptimizer:
    """Any optimizer of timm's factory by its name there; settings are those of timm.optim.create_optimizer_v2."""
    optim = _import("timm", "timm.optim")
    supported = optim.list_optimizers()
    name = str(name).lower()
    if name.removeprefix("lookahead_") not in supported:
        raise InputError(f"timm has no optimizer {name!r}{spec.hint(name, supported)}; it has: {', '.join(supported)}")
    home = optim.get_optimizer_info(name.removeprefix("lookahead_")).opt_class
    if isinstance(home, str) and importlib.util.find_spec(package := home.partition(".")[0]) is None:
        raise InputError(f"timm({name!r}) needs the package {package}, which is not installed")

    def make(groups: Any, lr: float, **settings: Any) -> Any:
        return optim.create_optimizer_v2(groups, name, lr=lr, **settings)

    return _of_library("timm", name, make, settings)


def pytorch_optimizer(name: str, **settings: Any) -> OutsideOptimizer:
    """Any optimizer of the package pytorch_optimizer by its name there (the extra `optimizers`)."""
    package = _import("pytorch_optimizer", "pytorch_optimizer")
    supported = package.get_supported_optimizers()
    if str(name).lower() not in supported:
        raise InputError(
            f"pytorch_optimizer has no {name!r}{spec.hint(str(name), supported)}; it has: {', '.join(supported)}"
        )
    family = package.load_optimizer(name)
    return _of_library("pytorch_optimizer", family.__name__, family, settings)


LIBRARIES: dict[str, Callable[..., OutsideOptimizer]] = {"timm": timm, "pytorch_optimizer": pytorch_optimizer}
"""Libraries whose optimizers are named by a call."""


def _import(package: str, module: str) -> Any:
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{package}(...) needs the package {package}: pip install {package}")
    return importlib.import_module(module)


def _of_library(library: str, name: str, value: Callable[..., Any], settings: Mapping[str, Any]) -> OutsideOptimizer:
    shared, rest = _split(settings, f"optimizer {library}({name!r})")
    return OutsideOptimizer(source=LibraryCall(library, name, value, dict(sorted(rest.items()))), **shared)


def _split(settings: Mapping[str, Any], subject: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings that every optimizer takes here, and those of the class.

    Raises:
        InputError: a setting that comes from elsewhere, or an optimizer as a setting.
    """
    for name, value in settings.items():
        if name in GIVEN:
            raise InputError(f"{subject}: {GIVEN[name]}; its call has no {name}")
        if isinstance(value, Optimizer):
            raise InputError(f"{subject}: its setting {name} should be a number, a text or a list, not a call")
    shared = {k: v for k, v in settings.items() if k in ("decay", *SHARED)}
    return shared, {k: v for k, v in settings.items() if k not in shared}
