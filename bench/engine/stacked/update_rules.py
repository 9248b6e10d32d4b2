"""The update rules of `torch.optim` over stacked rows: the same arithmetic, with an LR and a momentum for each row.

A row contains all trained weights of a member, those that decay first. M = rows, P = weights of one member.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.contract import Move
from bench.strategies.optimizer import Optimizer
from bench.strategies.optimizers import adam, sgd


def column(values: Sequence[float], like: Tensor) -> Tensor:
    """Values of rows as a column [M, 1], with the type and device of `like` [M, P]. Does not synchronise."""
    flat_M = torch.tensor(values, dtype=like.dtype, pin_memory=like.is_cuda)
    return flat_M.to(like.device, non_blocking=True).unsqueeze(1)


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
        self.steps += 1
        momenta = [self.momentum if move.momentum is None else move.momentum for move in moves]
        self.update(weight_MP, grad_MP, [move.lr for move in moves], momenta)

    @abstractmethod
    def update(self, weight_MP: Tensor, grad_MP: Tensor, lrs: list[float], momenta: list[float]) -> None:
        """Apply the rule, with an LR and a momentum for each row."""

    def sizes(self, values: Sequence[float], like: Tensor) -> Tensor:
        """A step size for each row, times the multiplier of each weight: [M, 1], or [M, P] with multipliers."""
        values_M1 = column(values, like)
        return values_M1 if self.scale_P is None else values_M1 * self.scale_P

    def slot(self, name: str, like: Tensor) -> Tensor:
        """A state tensor by its name, zeros at first."""
        if name not in self.slots:
            self.slots[name] = torch.zeros_like(like)
        return self.slots[name]

    def add_decay(self, weight_MP: Tensor, grad_MP: Tensor) -> None:
        """Add weight decay to the gradient."""
        if self.weight_decay:
            grad_MP[:, : self.decaying].add_(weight_MP[:, : self.decaying], alpha=self.weight_decay)


class SGD(Rule):
    """As torch.optim.SGD: at momentum 0 the buffer is not read and not changed."""

    def __init__(self, optimizer: sgd, weight_decay: float, decaying: int):
        super().__init__(optimizer.momentum, weight_decay, decaying)
        self.nesterov = optimizer.nesterov

    def update(self, weight_MP: Tensor, grad_MP: Tensor, lrs: list[float], momenta: list[float]) -> None:
        self.add_decay(weight_MP, grad_MP)
        step_MP = self.add_momentum(grad_MP, momenta) if any(momenta) else grad_MP
        weight_MP.addcmul_(step_MP, self.sizes(lrs, weight_MP), value=-1)

    def add_momentum(self, grad_MP: Tensor, momenta: list[float]) -> Tensor:
        """The gradient with momentum."""
        # torch.optim copies the first gradient into the buffer; a buffer of zeros gives the same.
        momentum_M1, buffer_MP = column(momenta, grad_MP), self.slot("momentum", grad_MP)
        if all(momenta):
            velocity_MP = torch.addcmul(grad_MP, buffer_MP, momentum_M1, out=buffer_MP)
        else:
            velocity_MP = torch.addcmul(grad_MP, buffer_MP, momentum_M1)
            self.slots["momentum"] = torch.where(momentum_M1 == 0, buffer_MP, velocity_MP)
        return grad_MP.addcmul_(velocity_MP, momentum_M1) if self.nesterov else velocity_MP


class Adam(Rule):
    """As torch.optim.Adam: a move's momentum is the first beta, whose present value also corrects the bias."""

    def __init__(self, optimizer: adam, weight_decay: float, decaying: int):
        super().__init__(optimizer.beta1, weight_decay, decaying)
        self.beta2, self.eps = optimizer.beta2, optimizer.eps

    def update(self, weight_MP: Tensor, grad_MP: Tensor, lrs: list[float], momenta: list[float]) -> None:
        self.decay(weight_MP, grad_MP, lrs)
        mean_MP, square_MP = self.slot("mean", grad_MP), self.slot("square", grad_MP)
        mean_MP.lerp_(grad_MP, column([1 - beta1 for beta1 in momenta], grad_MP))
        square_MP.mul_(self.beta2).addcmul_(grad_MP, grad_MP, value=1 - self.beta2)
        spread_MP = torch.sqrt(square_MP, out=grad_MP).div_(math.sqrt(1 - self.beta2**self.steps)).add_(self.eps)
        step_MP = torch.div(mean_MP, spread_MP, out=spread_MP)
        sizes = [lr / (1 - beta1**self.steps) for lr, beta1 in zip(lrs, momenta, strict=True)]
        weight_MP.addcmul_(step_MP, self.sizes(sizes, weight_MP), value=-1)

    def decay(self, weight_MP: Tensor, grad_MP: Tensor, lrs: list[float]) -> None:
        """Apply weight decay."""
        self.add_decay(weight_MP, grad_MP)


class AdamW(Adam):
    """As torch.optim.AdamW: an update first shrinks the weights by lr * weight decay."""

    def decay(self, weight_MP: Tensor, grad_MP: Tensor, lrs: list[float]) -> None:
        if self.weight_decay and self.scale_P is None:
            weight_MP[:, : self.decaying].mul_(column([1 - lr * self.weight_decay for lr in lrs], weight_MP))
        elif self.weight_decay:
            shrink_MP = 1 - self.sizes([lr * self.weight_decay for lr in lrs], weight_MP)
            weight_MP[:, : self.decaying].mul_(shrink_MP[:, : self.decaying])


RULES: dict[str, Callable[[Any, float, int], Rule]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
"""Rules by the name of the optimizer; `optimizers.STACKABLE` has the same names, without importing torch."""


def create(optimizer: Optimizer, weight_decay: float, decaying: int) -> Rule:
    """Create the rule of a stackable optimizer, without state."""
    return RULES[optimizer.name](optimizer, weight_decay, decaying)
