"""Catalogue of optimizers: stock `torch.optim` for `modules`; `update_rules.py` has the same rules for stacked rows.

Torch is imported only when an optimizer is built. The class of all of them is in `optimizer.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.contract import InputError, Move
from bench.strategies import external_optimizers, own_optimizers, parameter_groups
from bench.strategies.optimizer import Decay, Optimizer
from bench.strategies.parameter_groups import SCALE, hidden_matrices
from schedules import spec
from schedules.reference import installed
from schedules.schedule import steer

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def parse(text: str) -> Optimizer:
    """The optimizer that a call names.

    >>> parse("adamw(decay='matrices', beta2=0.999)").text, parse("sgd").text
    ("adamw(decay='matrices')", 'sgd(momentum=0.9)')

    Also one from outside: `my_opt.py:Lion(beta=0.9)`, `timm('lion')` (`own_optimizers`).

    Raises:
        InputError: unknown name, argument or value.
    """
    return _build(spec.parse(text))


def parse_list(text: str) -> list[Optimizer]:
    """The optimizers of a comma-separated list: `sgd, adamw(beta2=0.98)`.

    Raises:
        InputError: unknown name, argument or value.
    """
    return [_build(call) for call in spec.parse_list(text)]


def _build(call: spec.Call) -> Optimizer:
    if ":" in call.name or call.name in installed(own_optimizers.GROUP).keys() - CATALOGUE.keys():
        return own_optimizers.own(call)
    optimizer: Optimizer = spec.build(call, CATALOGUE | own_optimizers.LIBRARIES, "optimizer")
    return optimizer


def adjust(optimizer: torch.optim.Optimizer, move: Move) -> None:
    """Set the LR of every group by its multiplier, and the momentum (first beta in Adam's family).

    None stands for the momentum of the optimizer's text.

    Raises:
        InputError: the move sets a momentum, and the optimizer has none, or averages its weights by it.
    """
    if move.momentum is not None and "train_mode" in optimizer.defaults:
        raise InputError(f"{type(optimizer).__name__} reads its weights by its momentum, which cannot cycle")
    for group in optimizer.param_groups:
        steer(optimizer, group, move.lr * group.get(SCALE, 1.0), move.momentum)


# ---------------------------------------------------------------------------------------------- catalogue


@dataclass(frozen=True)
class sgd(Optimizer):
    """SGD; weight decay is added to the gradient."""

    momentum: float = 0.9
    nesterov: bool = False
    decay: Decay = "all"
    family = "SGD"
    slots = 1  # 0 if neither the text nor a schedule sets a momentum

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
    slots = 2


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
    """RMSprop; `eps` is added after the square root."""

    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    decay: Decay = "all"
    family = "RMSprop"

    def build(
        self, model: nn.Module, weight_decay: float, lr: float = 1.0, fused: bool = False
    ) -> torch.optim.Optimizer:
        optimizer = super().build(model, weight_decay, lr, fused)
        optimizer.register_step_pre_hook(_add_momentum_buffers)
        return optimizer


def _add_momentum_buffers(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """Add momentum buffers if a schedule sets a momentum late: RMSprop itself adds them only at the first update."""
    import torch

    for group in optimizer.param_groups:
        for state in (optimizer.state.get(p, {}) for p in group["params"] if group["momentum"] > 0):
            if state and "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(state["square_avg"])


@dataclass(frozen=True)
class adagrad(Optimizer):
    """Adagrad."""

    eps: float = 1e-10
    decay: Decay = "all"
    family = "Adagrad"


@dataclass(frozen=True)
class muon(Optimizer):
    """Muon on matrices of hidden layers, AdamW at `ratio` times the LR on all other weights.

    With a gradient g, B = momentum * B + (1 - momentum) * g and U = momentum * B + (1 - momentum) * g (nesterov) or B,

        w = (1 - lr * weight_decay) * w - lr * s * NS(U)

    NS are `ns_steps` of Newton-Schulz, which bring U's singular values near to 1. With adjust='original'
    s = sqrt(max(1, rows / columns)) (kellerjordan.github.io/posts/muon), with 'match_rms_adamw'
    s = 0.2 * sqrt(max(rows, columns)) (arXiv:2502.16982). The LR of a move is Muon's, as is its momentum. The default
    `ratio` is 0.0003 / 0.02, and AdamW's betas are (0.9, 0.95), as in the README of github.com/KellerJordan/Muon.
    Embeddings, the head, filters of convolutions and weights with one axis are AdamW's
    (`parameter_groups.hidden_matrices`). A matrix of several stacked ones (`in_proj_weight`) is one matrix.
    """

    momentum: float = 0.95
    nesterov: bool = True
    ns_steps: int = 5
    adjust: Literal["original", "match_rms_adamw"] = "original"
    ratio: float = 0.015
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    decay: Decay = "all"
    family = "Muon"
    measured = True

    def multipliers(self, model: nn.Module) -> dict[Tensor, float]:
        """See `Optimizer.multipliers`; `ratio` is in those of AdamW's weights."""
        by_layer = super().multipliers(model)
        hidden = {id(w) for w in hidden_matrices(model)}
        trained = (w for w in model.parameters() if w.requires_grad)
        return {w: by_layer.get(w, 1.0) * (1.0 if id(w) in hidden else self.ratio) for w in trained}

    def build(
        self, model: nn.Module, weight_decay: float, lr: float = 1.0, fused: bool = False
    ) -> torch.optim.Optimizer:
        from bench.strategies.muon_adamw import HIDDEN, MuonAdamW

        hidden = {id(w) for w in hidden_matrices(model)}
        if not hidden:
            raise ValueError("no hidden layer has a matrix (filters of convolutions are none): take adamw")
        factors = self.multipliers(model)
        groups = [
            {**group, "params": weights, HIDDEN: is_hidden}
            for group in parameter_groups.groups(model, self.decays, weight_decay, factors)
            for is_hidden in (True, False)
            if (weights := [w for w in group["params"] if (id(w) in hidden) == is_hidden])
        ]
        settings = self.settings()
        adamw = {k: settings.pop(k) for k in ("betas", "eps")}
        del settings["ratio"]
        return MuonAdamW(groups, lr, settings | {"adjust_lr_fn": settings.pop("adjust")}, adamw)


STACKABLE = frozenset({"sgd", "adam", "adamw"})
"""Optimizers of the engine `stacked`; the others train in `modules`."""

CATALOGUE: dict[str, Callable[..., Optimizer]] = {
    kind.__name__: kind
    for kind in (sgd, adam, adamw, nadam, radam, adamax, rmsprop, adagrad, muon, *external_optimizers.ALL)
}
