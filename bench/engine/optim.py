"""Optimizers by name: stock `torch.optim` for `modules`; `rules.py` has the same arithmetic over stacked rows.

Torch is not imported before an optimizer is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args

from bench import call
from bench.contract import InputError, Move

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Decay: TypeAlias = Literal["all", "matrices"]
"""Which weights decay: all, or only those with two axes and more (not biases, not the scales of norms)."""


class Optimizer:
    """What the catalogue holds: a frozen dataclass whose fields are the arguments of the call.

    `text` is the canonical call. The learning rate comes with every move, the weight decay with every cell.
    """

    decay: Decay
    family: ClassVar[str]  # the class in torch.optim

    def __post_init__(self) -> None:
        for name, value in self.kwargs.items():
            object.__setattr__(self, name, _checked(self.name, name, value))

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def kwargs(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """The call without arguments at their defaults; momentum always stands, for libraries differ on it."""
        defaults = type(self)().kwargs
        said = {k: v for k, v in self.kwargs.items() if v != defaults[k] or k == "momentum"}
        return call.render(self.name, (), said)

    def settings(self) -> dict[str, Any]:
        """Arguments of the class in torch.optim, besides lr and weight decay."""
        given = {k: v for k, v in self.kwargs.items() if k != "decay"}
        if "beta1" in given:
            given["betas"] = given.pop("beta1"), given.pop("beta2")
        return given

    def decays(self, weight: Tensor) -> bool:
        return self.decay == "all" or weight.ndim > 1

    def build(self, model: nn.Module, weight_decay: float, lr: float = 0.0) -> torch.optim.Optimizer:
        """The stock torch.optim optimizer of a module's weights; weights that don't decay are a group of their own."""
        import torch

        weights = [p for p in model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in weights if self.decays(p)], "weight_decay": weight_decay},
            {"params": [p for p in weights if not self.decays(p)], "weight_decay": 0.0},
        ]
        family = getattr(torch.optim, self.family)
        built: torch.optim.Optimizer = family([g for g in groups if g["params"]], lr=lr, **self.settings())
        return built


def parse(text: str) -> Optimizer:
    """The optimizer that a call names.

    >>> parse("adamw(decay='matrices', beta2=0.999)").text, parse("sgd").text
    ("adamw(decay='matrices')", 'sgd(momentum=0.9)')

    Raises:
        InputError: unknown name, argument or value.
    """
    built: Optimizer = call.build(call.parse(text), CATALOGUE, "optimizer")
    return built


def adjust(optimizer: torch.optim.Optimizer, move: Move) -> None:
    """Set the LR of every group, and the momentum (the first beta in Adam's family); None stands for the built one.

    Raises:
        InputError: a momentum for an optimizer that has none.
    """
    usual = optimizer.defaults
    for group in optimizer.param_groups:
        group["lr"] = move.lr
        if "momentum" in usual:
            group["momentum"] = usual["momentum"] if move.momentum is None else move.momentum
        elif "betas" in usual:
            beta1, beta2 = usual["betas"]
            group["betas"] = (beta1 if move.momentum is None else move.momentum, beta2)
        elif move.momentum is not None:
            raise InputError(f"{type(optimizer).__name__} has no momentum to cycle: use sgd, rmsprop or Adam's family")


def _checked(optimizer: str, name: str, value: Any) -> Any:
    if name == "decay":
        if value not in get_args(Decay):
            raise InputError(f"{optimizer}: decay is 'all' or 'matrices', not {value!r}")
        return value
    if name in ("nesterov", "centered"):
        if not isinstance(value, bool):
            raise InputError(f"{optimizer}: {name} is True or False, not {value!r}")
        return value
    top = math.inf if name == "eps" else 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < top:
        raise InputError(f"{optimizer}: {name} is a number from 0 to below {top:g}, not {value!r}")
    return float(value)


# ---------------------------------------------------------------------------------------------- catalogue


@dataclass(frozen=True)
class sgd(Optimizer):
    """SGD; weight decay is added to the gradient."""

    momentum: float = 0.9
    nesterov: bool = False
    decay: Decay = "all"
    family = "SGD"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise InputError("sgd: nesterov=True needs a momentum above 0")


@dataclass(frozen=True)
class adam(Optimizer):
    """Adam (arXiv:1412.6980); weight decay is added to the gradient."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    decay: Decay = "all"
    family = "Adam"


@dataclass(frozen=True)
class adamw(adam):
    """AdamW (arXiv:1711.05101): each update first shrinks the weights by lr * weight decay."""

    family = "AdamW"


@dataclass(frozen=True)
class nadam(adam):
    """NAdam: Adam with Nesterov momentum."""

    family = "NAdam"


@dataclass(frozen=True)
class radam(adam):
    """RAdam (arXiv:1908.03265)."""

    family = "RAdam"


@dataclass(frozen=True)
class adamax(adam):
    """Adamax (arXiv:1412.6980, section 7.1)."""

    family = "Adamax"


@dataclass(frozen=True)
class rmsprop(Optimizer):
    """RMSprop, the square root taken before `eps` is added."""

    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    decay: Decay = "all"
    family = "RMSprop"


@dataclass(frozen=True)
class adagrad(Optimizer):
    """Adagrad."""

    eps: float = 1e-10
    decay: Decay = "all"
    family = "Adagrad"


STACKABLE = frozenset({"sgd", "adam", "adamw"})
"""Optimizers that `stacked` has; the others run in `modules`."""

CATALOGUE: dict[str, Callable[..., Optimizer]] = {
    kind.__name__: kind for kind in (sgd, adam, adamw, nadam, radam, adamax, rmsprop, adagrad)
}
