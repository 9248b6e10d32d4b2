"""Base class of the optimizers of the catalogue, which checks their settings and builds them for a module."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args

from bench.contract import InputError
from schedules.spec import Named

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Decay: TypeAlias = Literal["all", "matrices"]
"""Weights that decay: all, or only those with two or more axes (not biases, not the scales of norms)."""

UNBOUNDED = ("eps", "d_coef", "lb")
"""Arguments that may be 1 or more."""

FUSED = frozenset({"adam", "adamw"})
"""Optimizers whose fused kernel can skip an update; that of SGD would still change its momentum."""


class Optimizer(Named):
    """An optimizer of the catalogue: a frozen dataclass whose fields are the arguments of the call.

    The learning rate comes with every move, the weight decay with every cell. The canonical text always contains the
    momentum, because its default differs between libraries.
    """

    decay: Decay
    family: ClassVar[str]  # name of the class in torch.optim, or in another package
    always = frozenset({"momentum"})
    slots: ClassVar[int | None] = None  # state tensors per weight at most; None if they have to be measured
    averages: ClassVar[bool] = False  # True if the optimizer itself evaluates an average

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, f.name, _checked(self.name, f.name, getattr(self, f.name), f.default))

    def settings(self) -> dict[str, Any]:
        """Arguments of the class, without lr and weight decay."""
        arguments = {k: v for k, v in self.kwargs.items() if k != "decay"}
        if "beta1" in arguments:
            arguments["betas"] = arguments.pop("beta1"), arguments.pop("beta2")
        return arguments

    def decays(self, weight: Tensor) -> bool:
        """True if weight decay applies to this weight."""
        return self.decay == "all" or weight.ndim > 1

    def unsteered(self) -> str:
        """Reason why no schedule can set the momentum, to follow "sets the momentum, "; empty if one can."""
        momenta = {"momentum", "beta1"} & {f.name for f in fields(self)}  # type: ignore[arg-type]
        return "" if momenta else f"which {self.name} does not have"

    def load(self) -> Any:
        """The class of the optimizer, imported."""
        import torch

        return getattr(torch.optim, self.family)

    def build(
        self, model: nn.Module, weight_decay: float, lr: float = 1.0, fused: bool = False
    ) -> torch.optim.Optimizer:
        """Build the optimizer for a module's trained weights, with a group of its own for weights that do not decay.

        `fused` selects the fused kernel if the optimizer is one of FUSED.
        """
        weights = [p for p in model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in weights if self.decays(p)], "weight_decay": weight_decay},
            {"params": [p for p in weights if not self.decays(p)], "weight_decay": 0.0},
        ]
        settings = self.settings() | ({"fused": True} if fused and self.name in FUSED else {})
        optimizer: torch.optim.Optimizer = self.load()([g for g in groups if g["params"]], lr=lr, **settings)
        return optimizer


def _checked(optimizer: str, name: str, value: Any, default: Any) -> Any:
    if name == "decay":
        if value not in get_args(Decay):
            raise InputError(f"{optimizer}: decay is 'all' or 'matrices', not {value!r}")
        return value
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
