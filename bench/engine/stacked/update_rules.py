"""The update rules of `torch.optim` over stacked rows: the same arithmetic, with an LR and a momentum for each row.

A row contains all trained weights of a member, those that decay first. All that changes from update to update comes as
a tensor, so that an update can be traced, compiled or captured once. M = rows, P = weights of one member.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from bench.contract import Move
from bench.strategies.optimizer import Optimizer
from bench.strategies.optimizers import adam, sgd
from bench.to_device import send

Numbers: TypeAlias = list[list[float]]  # [K, M]: what an update needs of each row
Columns: TypeAlias = Sequence[Tensor]  # the same on the device, K of [M, 1]


def columns(numbers: Numbers, like: Tensor) -> Columns:
    """Numbers of rows with the type and device of `like` [M, P], by one copy that does not synchronise."""
    (table_KM,) = send(like.device, torch.tensor(numbers, dtype=like.dtype))
    return table_KM.unsqueeze(2).unbind()


class Rule(ABC):
    """An optimizer of stacked rows, with its state.

    Args:
        momentum: Momentum of a move that sets none.
        weight_decay: Weight decay as in torch.optim.
        decaying: Number of weights that decay, the first ones of a row.
    """

    def __init__(self, momentum: float, weight_decay: float, decaying: int):
        self.momentum, self.weight_decay, self.decaying = momentum, weight_decay, decaying
        self.scale_P: Tensor | None = None  # multiplier of the LR of each weight; None if all have 1
        self.steps = 0  # updates so far, the same for all rows
        self.slots: dict[str, Tensor] = {}  # state [M, P], by name

    def move(self, weight_MP: Tensor, grad_MP: Tensor, moves: Sequence[Move]) -> None:
        """Update `weight_MP` in place, and overwrite `grad_MP`."""
        numbers, kind = self.begin(moves, weight_MP)
        self.update(weight_MP, grad_MP, self.slots, columns(numbers, weight_MP), kind)

    def begin(self, moves: Sequence[Move], like: Tensor) -> tuple[Numbers, str]:
        """Count an update and make the state that it needs: the numbers of its rows, and the kind of update."""
        self.steps += 1
        momenta = [self.momentum if move.momentum is None else move.momentum for move in moves]
        kind = self.kind(momenta)
        for name in self.state_of(kind):
            if name not in self.slots:
                self.slots[name] = torch.zeros_like(like)
        return self.numbers([move.lr for move in moves], momenta), kind

    def kind(self, momenta: list[float]) -> str:
        """Name of the operations that an update with these momenta takes."""
        return ""

    @abstractmethod
    def state_of(self, kind: str) -> tuple[str, ...]:
        """Names of the state that an update of this kind reads."""

    @abstractmethod
    def numbers(self, lrs: list[float], momenta: list[float]) -> Numbers:
        """Numbers of the present update, for `update`."""

    @abstractmethod
    def update(
        self, weight_MP: Tensor, grad_MP: Tensor, slots: Mapping[str, Tensor], columns: Columns, kind: str
    ) -> None:
        """Apply the rule: change weights and state in place, and overwrite the gradient."""

    def scaled(self, value_M1: Tensor) -> Tensor:
        """A step size of each row, times the multiplier of each weight: [M, 1], or [M, P] with multipliers."""
        return value_M1 if self.scale_P is None else value_M1 * self.scale_P

    def add_decay(self, weight_MP: Tensor, grad_MP: Tensor) -> None:
        """Add weight decay to the gradient."""
        if self.weight_decay:
            grad_MP[:, : self.decaying].add_(weight_MP[:, : self.decaying], alpha=self.weight_decay)


class SGD(Rule):
    """As torch.optim.SGD: at momentum 0 the buffer is not read and not changed."""

    def __init__(self, optimizer: sgd, weight_decay: float, decaying: int):
        super().__init__(optimizer.momentum, weight_decay, decaying)
        self.nesterov = optimizer.nesterov

    def kind(self, momenta: list[float]) -> str:
        if all(momenta):
            return "momentum"
        return "momentum of some" if any(momenta) else "plain"

    def state_of(self, kind: str) -> tuple[str, ...]:
        return () if kind == "plain" else ("momentum",)

    def numbers(self, lrs: list[float], momenta: list[float]) -> Numbers:
        return [lrs, momenta]

    def update(
        self, weight_MP: Tensor, grad_MP: Tensor, slots: Mapping[str, Tensor], columns: Columns, kind: str
    ) -> None:
        lr_M1, momentum_M1 = columns
        self.add_decay(weight_MP, grad_MP)
        step_MP = grad_MP
        if kind != "plain":
            # torch.optim copies the first gradient into the buffer; a buffer of zeros gives the same.
            buffer_MP = slots["momentum"]
            if kind == "momentum":
                velocity_MP = torch.addcmul(grad_MP, buffer_MP, momentum_M1, out=buffer_MP)
            else:
                velocity_MP = torch.addcmul(grad_MP, buffer_MP, momentum_M1)
                buffer_MP.copy_(torch.where(momentum_M1 == 0, buffer_MP, velocity_MP))
            step_MP = grad_MP.addcmul_(velocity_MP, momentum_M1) if self.nesterov else velocity_MP
        weight_MP.addcmul_(step_MP, self.scaled(lr_M1), value=-1)


class Adam(Rule):
    """As torch.optim.Adam: a move's momentum is the first beta, whose present value also corrects the bias."""

    def __init__(self, optimizer: adam, weight_decay: float, decaying: int):
        super().__init__(optimizer.beta1, weight_decay, decaying)
        self.beta2, self.eps = optimizer.beta2, optimizer.eps

    def state_of(self, kind: str) -> tuple[str, ...]:
        return "mean", "square"

    def numbers(self, lrs: list[float], momenta: list[float]) -> Numbers:
        sizes = [lr / (1 - beta1**self.steps) for lr, beta1 in zip(lrs, momenta, strict=True)]
        correction = math.sqrt(1 - self.beta2**self.steps)
        return [[1 - beta1 for beta1 in momenta], [correction] * len(lrs), sizes, self.decays(lrs)]

    def decays(self, lrs: list[float]) -> list[float]:
        """Numbers for `decay`."""
        return lrs

    def update(
        self, weight_MP: Tensor, grad_MP: Tensor, slots: Mapping[str, Tensor], columns: Columns, kind: str
    ) -> None:
        share_M1, correction_M1, size_M1, decay_M1 = columns
        self.decay(weight_MP, grad_MP, decay_M1)
        mean_MP, square_MP = slots["mean"], slots["square"]
        mean_MP.lerp_(grad_MP, share_M1)
        square_MP.mul_(self.beta2).addcmul_(grad_MP, grad_MP, value=1 - self.beta2)
        spread_MP = torch.sqrt(square_MP, out=grad_MP).div_(correction_M1).add_(self.eps)
        step_MP = torch.div(mean_MP, spread_MP, out=spread_MP)
        weight_MP.addcmul_(step_MP, self.scaled(size_M1), value=-1)

    def decay(self, weight_MP: Tensor, grad_MP: Tensor, decay_M1: Tensor) -> None:
        """Apply weight decay."""
        self.add_decay(weight_MP, grad_MP)


class AdamW(Adam):
    """As torch.optim.AdamW: an update first shrinks the weights by lr * weight decay."""

    def decays(self, lrs: list[float]) -> list[float]:
        drops = [lr * self.weight_decay for lr in lrs]
        return [1 - drop for drop in drops] if self.scale_P is None else drops

    def decay(self, weight_MP: Tensor, grad_MP: Tensor, decay_M1: Tensor) -> None:
        if self.weight_decay and self.scale_P is None:
            weight_MP[:, : self.decaying].mul_(decay_M1)
        elif self.weight_decay:
            shrink_MP = 1 - self.scaled(decay_M1)
            weight_MP[:, : self.decaying].mul_(shrink_MP[:, : self.decaying])


RULES: dict[str, Callable[[Any, float, int], Rule]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
"""Rules by the name of the optimizer; `optimizers.STACKABLE` has the same names, without importing torch."""


def create(optimizer: Optimizer, weight_decay: float, decaying: int) -> Rule:
    """Create the rule of a stackable optimizer, without state."""
    return RULES[optimizer.name](optimizer, weight_decay, decaying)
