"""Optimizers that claim to need no decay, or no tuned learning rate, each from the package of its authors.

They come with the extra `contenders`, and train in `modules`. All use the LR of a move: as the step size in
Schedule-Free, as a factor of the estimate in Prodigy and D-Adaptation (their authors recommend 1), and as a cap in
MoMo. A warmup is a schedule: `warmup(constant, epochs=1)`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import InputError
from bench.strategies.optimizer import Decay, Optimizer

if TYPE_CHECKING:
    import torch
    from torch import nn

WHEELS = {"momo": "momo-opt"}
"""Names of packages for pip, where they differ from the import name."""


class Contender(Optimizer):
    """An optimizer from a package other than torch."""

    package: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if importlib.util.find_spec(self.package) is None:
            wheel = WHEELS.get(self.package, self.package)
            raise InputError(f"{self.name} needs the package {self.package}: pip install {wheel}")

    def load(self) -> Any:
        """See `Optimizer.load`."""
        return getattr(importlib.import_module(self.package), self.family)


# ------------------------------------------------------------------------------------------- Schedule-Free


class ScheduleFree(Contender):
    """Trains at y, an interpolation of its steps z and their running average x; x is evaluated.

    Changing between y and x rounds, so x is formed on copies. Training starts in the package's `train` mode.
    """

    package = "schedulefree"
    averages = True

    def unsteered(self) -> str:
        return f"by which {self.name} reads its weights"

    def build(
        self, model: nn.Module, weight_decay: float, lr: float = 1.0, fused: bool = False
    ) -> torch.optim.Optimizer:
        optimizer: Any = super().build(model, weight_decay, lr, fused)
        optimizer.train()
        return optimizer  # type: ignore[no-any-return]


@dataclass(frozen=True)
class schedulefree_sgd(ScheduleFree):
    """Schedule-Free SGD (arXiv:2405.15682); weight decay is added to the gradient, at y."""

    momentum: float = 0.9
    decay: Decay = "all"
    family = "SGDScheduleFree"

    def __post_init__(self) -> None:
        super().__post_init__()
        _above_zero(self.name, "momentum", self.momentum)


@dataclass(frozen=True)
class schedulefree_adamw(ScheduleFree):
    """Schedule-Free AdamW (arXiv:2405.15682); weights shrink by lr * weight decay, at y."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    decay: Decay = "all"
    family = "AdamWScheduleFree"

    def __post_init__(self) -> None:
        super().__post_init__()
        _above_zero(self.name, "beta1", self.beta1)


def _above_zero(optimizer: str, name: str, value: float) -> None:
    if value == 0:
        raise InputError(f"{optimizer}: {name} is a number above 0 and below 1, for x is read through it")


# ------------------------------------------------------------------------------- Prodigy and D-Adaptation


@dataclass(frozen=True)
class prodigy(Contender):
    """Prodigy (arXiv:2306.06101): Adam whose step size is lr * d, d an estimate of the distance to the solution.

    Weights shrink by lr * d * weight decay. `d_coef` scales d, `safeguard_warmup` keeps a warmup out of its estimate.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    d_coef: float = 1.0
    use_bias_correction: bool = False
    safeguard_warmup: bool = False
    decay: Decay = "all"
    grouped = False
    package = "prodigyopt"
    family = "Prodigy"


@dataclass(frozen=True)
class dadapt_adam(Contender):
    """Adam with D-Adaptation (arXiv:2301.07733), step size lr * d; weight decay is added to the gradient."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    use_bias_correction: bool = False
    decay: Decay = "all"
    grouped = False
    package = "dadaptation"
    family = "DAdaptAdam"


@dataclass(frozen=True)
class dadapt_sgd(Contender):
    """SGD with D-Adaptation (arXiv:2301.07733), step size lr * d / |first gradient|.

    Weight decay is added to the gradient, of all weights: the package takes that of the first group for every group.
    """

    momentum: float = 0.9
    decay = "all"
    grouped = False
    package = "dadaptation"
    family = "DAdaptSGD"

    def load(self) -> Any:
        return _zero_safe(super().load())


def _zero_safe(family: Any) -> Any:
    """A subclass of D-Adapted SGD that skips updates at LR 0 or before any gradient, where the package divides by 0."""

    class ZeroSafe(family):  # type: ignore[misc]
        def step(self, closure: Any = None) -> None:
            if self.param_groups[0]["lr"] > 0:
                with contextlib.suppress(ZeroDivisionError):  # raised before any weight has changed
                    super().step(closure)

    ZeroSafe.__name__ = family.__name__
    return ZeroSafe


# ---------------------------------------------------------------------------------------------------- MoMo


class Momentum(Contender):
    """A step size from the loss: the smaller of lr and the step of a model of the loss with a lower bound.

    So the LR of a move is a cap, and has no effect if the model's step is smaller. `lb` is the lower bound of the loss;
    `use_fstar` estimates it during training. All weights decay, because the model of the loss has one weight decay.
    """

    package = "momo"
    decay = "all"
    grouped = False

    def load(self) -> Any:
        return _resumable(super().load())


@dataclass(frozen=True)
class momo(Momentum):
    """MoMo (arXiv:2305.07583): SGD with momentum `beta`, weight decay as a proximal step."""

    beta: float = 0.9
    lb: float = 0.0
    bias_correction: bool = False
    use_fstar: bool = False
    family = "Momo"


@dataclass(frozen=True)
class momo_adam(Momentum):
    """MoMo-Adam (arXiv:2305.07583): Adam's direction, weight decay as a proximal step."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    lb: float = 0.0
    use_fstar: bool = False
    family = "MomoAdam"


ATTRIBUTES = ("loss_avg", "_number_steps", "lb")
"""State that the package keeps in attributes of the optimizer, which are not in its `state_dict`."""


def _resumable(family: Any) -> Any:
    """A subclass of MoMo with all of its state in its group, and without weights that have no gradient."""

    class Resumable(family):  # type: ignore[misc]
        def step(self, closure: Any = None) -> None:
            (group,) = self.param_groups
            for name, value in group.get("kept", {}).items():
                setattr(self, name, value)
            group["params"] = [p for p in group["params"] if p.grad is not None]
            super().step(closure)
            group["kept"] = {name: getattr(self, name) for name in ATTRIBUTES}

    Resumable.__name__ = family.__name__
    return Resumable


ALL = (schedulefree_sgd, schedulefree_adamw, prodigy, dadapt_sgd, dadapt_adam, momo, momo_adam)
