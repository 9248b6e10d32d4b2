"""Base class of the optimizers of the catalogue, which checks their settings and builds them for a module."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args

from bench.contract import InputError
from bench.strategies import parameter_groups
from schedules.spec import Named

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Decay: TypeAlias = Literal["all", "matrices"]
"""Weights that decay: all, or only those with two or more axes (not biases, not the scales of norms)."""

CHOICES = {"decay": get_args(Decay), "adjust": ("original", "match_rms_adamw")}
"""Values of the arguments that are texts."""

UNBOUNDED = ("eps", "d_coef", "lb", "ratio")
"""Arguments that may be 1 or more."""

SHARED = ("layer_decay", "head_lr")
"""Arguments of every optimizer that its class does not get."""

FUSED = frozenset({"sgd", "adam", "adamw"})
"""Optimizers that torch has a fused kernel of, which updates all weights at once."""

SKIPPING = FUSED - {"sgd"}
"""Those whose fused kernel can skip an update; that of SGD would still change its momentum."""


@dataclass(frozen=True)
class Optimizer(Named):
    """An optimizer of the catalogue: a frozen dataclass whose fields are the arguments of the call.

    The learning rate comes with every move, the weight decay with every cell. The canonical text always contains the
    momentum, because its default differs between libraries. `layer_decay` and `head_lr` are fixed multipliers of the
    LR: see `parameter_groups.multipliers`.
    """

    layer_decay: float = field(default=1.0, kw_only=True)
    head_lr: float = field(default=1.0, kw_only=True)
    family: ClassVar[str]  # name of the class in torch.optim, or in another package
    always = frozenset({"momentum"})
    slots: ClassVar[int | None] = None  # state tensors per weight at most; None if they have to be measured
    averages: ClassVar[bool] = False  # True if the optimizer itself evaluates an average
    grouped: ClassVar[bool] = True  # False if all weights have one LR
    measured: ClassVar[bool] = False  # True if a plan measures its state on the task's model, which may refuse it

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _checked(self.name, f.name, getattr(self, f.name), f.default))
        if self.scaled and not self.grouped:
            raise InputError(f"{self.name} has one LR for all weights: no layer_decay, no head_lr")

    @property
    def kwargs(self) -> dict[str, Any]:
        """Arguments of the call, those that all optimizers take at the end."""
        arguments = super().kwargs
        return arguments | {name: arguments.pop(name) for name in SHARED}

    @property
    def scaled(self) -> bool:
        """True if weights differ by a multiplier of the LR."""
        return (self.layer_decay, self.head_lr) != (1.0, 1.0)

    def settings(self) -> dict[str, Any]:
        """Arguments of the class, without lr and weight decay."""
        arguments = {k: v for k, v in self.kwargs.items() if k not in ("decay", *SHARED)}
        if "beta1" in arguments:
            arguments["betas"] = arguments.pop("beta1"), arguments.pop("beta2")
        return arguments

    def decays(self, weight: Tensor) -> bool:
        """True if weight decay applies to this weight."""
        # A field of most optimizers; declared here it would be the first argument of all.
        return getattr(self, "decay", "all") == "all" or weight.ndim > 1

    def unsteered(self) -> str:
        """Reason why no schedule can set the momentum, to follow "sets the momentum, "; empty if one can."""
        momenta = {"momentum", "beta1"} & {f.name for f in fields(self)}
        return "" if momenta else f"which {self.name} does not have"

    def multipliers(self, model: nn.Module) -> dict[Tensor, float]:
        """Multipliers of the LR of trained weights; those left out have 1."""
        return parameter_groups.multipliers(model, self.layer_decay, self.head_lr) if self.scaled else {}

    def load(self) -> Any:
        """The class of the optimizer, imported."""
        import torch

        return getattr(torch.optim, self.family)

    def build(
        self, model: nn.Module, weight_decay: float, lr: float = 1.0, fused: bool = False
    ) -> torch.optim.Optimizer:
        """Build the optimizer for a module's trained weights, in groups of equal weight decay and multiplier.

        `fused` selects torch's fused kernel, for the optimizers of FUSED.
        """
        groups = parameter_groups.groups(model, self.decays, weight_decay, self.multipliers(model))
        settings = self.settings() | ({"fused": True} if fused else {})
        optimizer: torch.optim.Optimizer = self.load()(groups, lr=lr, **settings)
        return optimizer


def _checked(optimizer: str, name: str, value: Any, default: Any) -> Any:
    if default is None:
        return value
    if isinstance(default, str):
        if value not in CHOICES[name]:
            raise InputError(f"{optimizer}: {name} is {' or '.join(map(repr, CHOICES[name]))}, not {value!r}")
        return value
    if name in SHARED:
        top, limit = (1.0, "at most 1") if name == "layer_decay" else (sys.float_info.max, "and finite")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= top:
            raise InputError(f"{optimizer}: {name} is a number above 0, {limit}, not {value!r}")
        return float(value)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{optimizer}: {name} is True or False, not {value!r}")
        return value
    if isinstance(default, int):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{optimizer}: {name} is a whole number, 1 or more, not {value!r}")
        return value
    top = math.inf if name in UNBOUNDED else 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < top:
        raise InputError(f"{optimizer}: {name} is a number from 0 to below {top:g}, not {value!r}")
    return float(value)
