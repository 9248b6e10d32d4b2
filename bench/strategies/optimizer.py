"""What an optimizer of the catalogue is: a call that can be written, checked, and built for a module's weights."""

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
"""Which weights decay: all, or only those with two axes and more (not biases, not the scales of norms)."""

UNBOUNDED = ("eps", "d_coef", "lb")
"""Arguments that may be 1 and more."""

FUSED = frozenset({"adam", "adamw"})
"""Optimizers with a kernel of torch's that can skip an update; that of SGD moves its momentum all the same."""


class Optimizer(Named):
    """What the catalogue holds: a frozen dataclass whose fields are the arguments of the call.

    The learning rate comes with every move, the weight decay with every cell. Momentum always stands in the text, for
    libraries differ on it.
    """

    decay: Decay
    family: ClassVar[str]  # the class in torch.optim
    always = frozenset({"momentum"})
    slots: ClassVar[int | None] = None  # tensors that it keeps of each weight at most; None where that has to be tried
    averages: ClassVar[bool] = False  # whether what is read is an average already, so that none goes on top

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, f.name, _checked(self.name, f.name, getattr(self, f.name), f.default))

    def settings(self) -> dict[str, Any]:
        """Arguments of the class, besides lr and weight decay."""
        given = {k: v for k, v in self.kwargs.items() if k != "decay"}
        if "beta1" in given:
            given["betas"] = given.pop("beta1"), given.pop("beta2")
        return given

    def decays(self, weight: Tensor) -> bool:
        return self.decay == "all" or weight.ndim > 1

    def unsteered(self) -> str:
        """Why no schedule can set its momentum, after "sets the momentum, "; empty if one can."""
        able = {"momentum", "beta1"} & {f.name for f in fields(self)}  # type: ignore[arg-type]
        return "" if able else f"which {self.name} does not have"

    def load(self) -> Any:
        """The class that steps."""
        import torch

        return getattr(torch.optim, self.family)

    def build(
        self, model: nn.Module, weight_decay: float, lr: float = 1.0, fused: bool = False
    ) -> torch.optim.Optimizer:
        """The optimizer of a module's weights; weights that don't decay are a group of their own.

        `fused` asks for one kernel where there is one.
        """
        weights = [p for p in model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in weights if self.decays(p)], "weight_decay": weight_decay},
            {"params": [p for p in weights if not self.decays(p)], "weight_decay": 0.0},
        ]
        settings = self.settings() | ({"fused": True} if fused and self.name in FUSED else {})
        built: torch.optim.Optimizer = self.load()([g for g in groups if g["params"]], lr=lr, **settings)
        return built


def _checked(optimizer: str, name: str, value: Any, default: Any) -> Any:
    if name == "decay":
        if value not in get_args(Decay):
            raise InputError(f"{optimizer}: decay is 'all' or 'matrices', not {value!r}")
        return value
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{optimizer}: {name} is True or False, not {value!r}")
        return value
    top = math.inf if name in UNBOUNDED else 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < top:
        raise InputError(f"{optimizer}: {name} is a number from 0 to below {top:g}, not {value!r}")
    return float(value)
