"""A member of the reference engine: a plain module, its stock optimizer, and the averages that riders read it by."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import Recipe
from bench.engine.clone import copied, twin
from bench.engine.grad_scaler import Scaler
from bench.strategies.averagings import PRESENT

HOST = ("step", "mu_product")
"""Slots without axes that torch.optim keeps on the CPU, unless its kernel is fused."""


class TrainedMember:
    """One model in training, and its optimizer."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, scaled: bool = False):
        self.model, self.optimizer = model, optimizer
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.scaler = Scaler(self.weights[0].device) if scaled else None  # of its loss, in fp16
        self.loss: Any = None  # of the last look, for optimizers that ask
        self.last: Tensor | None = None  # gradient of the last look, flat, where it is to be recalled
        self.averages: dict[str, list[Tensor]] = {}  # of the weights, by slot

    def tensors(self) -> dict[str, Tensor]:
        """Weights that are trained, and buffers: all others are every member's alike."""
        weights = ((name, p) for name, p in self.model.named_parameters() if p.requires_grad)
        return {name: t.detach() for name, t in chain(weights, self.model.named_buffers())}

    def state(self, device: torch.device | None = None) -> dict[str, Any]:
        """Copies of all that the member is between a move and the next look, on `device` or where it lies."""
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        slots = [dict(self.optimizer.state.get(p, {})) for p in self.weights]
        own = {"tensors": self.tensors(), "slots": slots, "groups": groups}
        scaler = None if self.scaler is None else self.scaler.tensors()
        state: dict[str, Any] = copied(own | {"averages": self.averages, "last": self.last, "scaler": scaler}, device)
        return state

    def load(self, state: Mapping[str, Any]) -> None:
        """Become a copy of the member that `state` tells of. No value is cast, so all is exact."""
        own = self.tensors()
        for name, saved in state["tensors"].items():
            own[name].copy_(saved)
        for weight, slots in zip(self.weights, state["slots"], strict=True):
            self.optimizer.state[weight] = {k: _placed(k, v, weight, self.optimizer) for k, v in slots.items()}
        for group, saved in zip(self.optimizer.param_groups, state["groups"], strict=True):
            group.update(copied(saved, self.weights[0].device))
        self.averages = {
            slot: [t.to(w.device, copy=True) for w, t in zip(self.weights, kept, strict=True)]
            for slot, kept in state["averages"].items()
        }
        self.last = None if state["last"] is None else state["last"].to(self.weights[0].device, copy=True)
        if self.scaler is not None:
            self.scaler.load(state["scaler"])

    def statistics(self) -> list[tuple[Tensor, Tensor]]:
        """Buffers that a forward may change, each with a copy."""
        return [(b, b.clone()) for b in self.model.buffers() if b.is_floating_point()]

    @torch.no_grad()
    def spare(self, statistics: list[tuple[Tensor, Tensor]]) -> None:
        """Undo what an overflow did to BatchNorm's statistics, which would be infinite ever after."""
        assert self.scaler is not None
        for buffer, before in statistics:
            buffer.copy_(self.scaler.chosen(torch.where(buffer.isfinite(), buffer, before), buffer))

    def recalled(self, grads: list[Tensor]) -> Tensor:
        """Inner product of this look's gradient with the last one's, whose place it takes; 0 if there is neither."""
        now = torch.cat([grad.reshape(-1) for grad in grads])
        last = torch.zeros_like(now) if self.last is None else self.last
        self.last = now if self.scaler is None else self.scaler.chosen(last, now)
        dot: Tensor = torch.linalg.vecdot(now, last)
        return dot

    def update(self) -> None:
        """The optimizer's step, after which gradients give way; some optimizers ask for the loss."""
        if self.scaler is None:
            self.optimizer.step(lambda: self.loss)
        else:
            self.scaler.step(self.optimizer, lambda: self.loss)
        self.model.zero_grad()

    @torch.no_grad()
    def blend(self, slot: str, share: float) -> None:
        """Move a slot's average towards the weights by `share` of the distance; share 1 is a copy."""
        if share == 1:
            self.averages[slot] = [w.detach().clone() for w in self.weights]
        else:
            torch._foreach_lerp_(self.averages[slot], [*self.weights], share)

    @torch.no_grad()
    def mixed(self, recipe: Recipe) -> nn.Module:
        """A copy of the model with the weights that a recipe mixes."""
        model = twin(self.model)
        weights = [p for p in model.parameters() if p.requires_grad]
        for slot, share in recipe:
            for weight, part in zip(weights, self.weights if slot == PRESENT else self.averages[slot], strict=True):
                weight.copy_(part) if share == 1 else weight.lerp_(part, share)
        return model


def _placed(name: str, value: Any, weight: Tensor, optimizer: torch.optim.Optimizer) -> Any:
    """A slot of an optimizer where it lies in training: beside its weight, unless it is one of HOST."""
    if isinstance(value, Tensor):
        stays = name in HOST and not optimizer.defaults.get("fused")
        return value.clone() if stays else value.to(weight.device, copy=True)
    return copy.deepcopy(value)
