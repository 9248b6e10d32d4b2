"""A member of the reference engine: a plain module, its stock optimizer, and the averages of its weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import Recipe
from bench.engine.clone import clone_model, clone_state
from bench.engine.grad_scaler import Scaler
from bench.strategies.averagings import PRESENT

HOST = ("step", "mu_product")
"""State of torch.optim without axes, which stays on the CPU unless the kernel is fused."""


class TrainedMember:
    """One model in training, and its optimizer."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, scaled: bool = False):
        self.model, self.optimizer = model, optimizer
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.scaler = Scaler(self.weights[0].device) if scaled else None  # loss scaling, in fp16
        self.loss: Any = None  # of the last look, for optimizers that need it
        self.last: Tensor | None = None  # flat gradient of the last look, if it is to be recalled
        self.averages: dict[str, list[Tensor]] = {}  # of the weights, by slot

    def tensors(self) -> dict[str, Tensor]:
        """Trained weights and buffers, by name. Frozen weights are shared by all members."""
        weights = ((name, p) for name, p in self.model.named_parameters() if p.requires_grad)
        return {name: t.detach() for name, t in chain(weights, self.model.named_buffers())}

    def state(self, device: torch.device | None = None) -> dict[str, Any]:
        """A copy of the member's state between a move and the next look, on `device` or on its own."""
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        slots = [dict(self.optimizer.state.get(p, {})) for p in self.weights]
        own: dict[str, Any] = {"tensors": self.tensors(), "slots": slots, "groups": groups}
        scaler = None if self.scaler is None else self.scaler.tensors()
        own |= {"averages": self.averages, "last": self.last, "scaler": scaler}
        state: dict[str, Any] = clone_state(own, device)
        return state

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state` returned, exactly: no value is cast."""
        own = self.tensors()
        for name, saved in state["tensors"].items():
            own[name].copy_(saved)
        for weight, slots in zip(self.weights, state["slots"], strict=True):
            self.optimizer.state[weight] = {k: _slot_on_device(k, v, weight, self.optimizer) for k, v in slots.items()}
        for group, saved in zip(self.optimizer.param_groups, state["groups"], strict=True):
            group.update(clone_state(saved, self.weights[0].device))
        self.averages = {
            slot: [t.to(w.device, copy=True) for w, t in zip(self.weights, average, strict=True)]
            for slot, average in state["averages"].items()
        }
        self.last = None if state["last"] is None else state["last"].to(self.weights[0].device, copy=True)
        if self.scaler is not None:
            self.scaler.load(state["scaler"])

    def statistics(self) -> list[tuple[Tensor, Tensor]]:
        """Floating-point buffers, which a forward may change, each with a copy."""
        return [(b, b.clone()) for b in self.model.buffers() if b.is_floating_point()]

    @torch.no_grad()
    def undo_overflow(self, statistics: list[tuple[Tensor, Tensor]]) -> None:
        """Restore BatchNorm statistics that an overflow made infinite or NaN, if the update is skipped."""
        assert self.scaler is not None
        for buffer, before in statistics:
            buffer.copy_(self.scaler.select(torch.where(buffer.isfinite(), buffer, before), buffer))

    def recall_dot(self, grads: list[Tensor]) -> Tensor:
        """Inner product of this look's gradient with the last one's, or 0 at the first look; keeps this gradient."""
        now = torch.cat([grad.reshape(-1) for grad in grads])
        last = torch.zeros_like(now) if self.last is None else self.last
        self.last = now if self.scaler is None else self.scaler.select(last, now)
        dot: Tensor = torch.linalg.vecdot(now, last)
        return dot

    def update(self) -> None:
        """Step the optimizer, which may read the loss, and free the gradients."""
        if self.scaler is None:
            self.optimizer.step(lambda: self.loss)
        else:
            self.scaler.step(self.optimizer, lambda: self.loss)
        for (
            weight
        ) in self.weights:  # `Module.zero_grad` looks through all modules, which takes longer than small updates
            weight.grad = None

    @torch.no_grad()
    def blend(self, slot: str, share: float) -> None:
        """Move a slot's average towards the weights by `share` of the distance; share 1 is a copy."""
        if share == 1:
            self.averages[slot] = [w.detach().clone() for w in self.weights]
        else:
            torch._foreach_lerp_(self.averages[slot], [*self.weights], share)

    @torch.no_grad()
    def mixed(self, recipe: Recipe) -> nn.Module:
        """A copy of the model with weights mixed by a recipe."""
        model = clone_model(self.model)
        weights = [p for p in model.parameters() if p.requires_grad]
        for slot, share in recipe:
            parts = self.weights if slot == PRESENT else self.averages[slot]
            for weight, part in zip(weights, parts, strict=True):
                weight.copy_(part) if share == 1 else weight.lerp_(part, share)
        return model


def _slot_on_device(name: str, value: Any, weight: Tensor, optimizer: torch.optim.Optimizer) -> Any:
    """A copy of an optimizer's slot on the device of its weight, or on its own if HOST names it."""
    if isinstance(value, Tensor):
        stays = name in HOST and not optimizer.defaults.get("fused")
        return value.clone() if stays else value.to(weight.device, copy=True)
    return copy.deepcopy(value)
