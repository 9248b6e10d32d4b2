"""A member of the reference engine: a plain module, its stock optimizer, and the averages of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from bench.contract import Recipe
from bench.engine.clone import clone_model, clone_state
from bench.engine.grad_scaler import Scaler
from bench.strategies.averagings import PRESENT

HOST = ("step", "mu_product")
"""State of torch.optim without axes, which stays on the CPU unless the kernel is fused, in states saved on a CPU."""


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
        if rest := {k: v for k, v in self.optimizer.state.items() if not isinstance(k, Tensor)}:
            own["rest"] = rest
        if any(not w.is_cpu for w in self.weights):
            own["hosted"] = [[k for k, v in slot.items() if _on_host(v)] for slot in slots]
        state: dict[str, Any] = clone_state(own, device)
        return state

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state` returned, exactly: no value is cast."""
        own = self.tensors()
        for name, saved in state["tensors"].items():
            own[name].copy_(saved)
        fused = self.optimizer.defaults.get("fused")
        hosted = state.get("hosted", [() if fused else HOST for _ in self.weights])
        for weight, slots, names in zip(self.weights, state["slots"], hosted, strict=True):
            if slots:  # an optimizer may ask whether it has state of a weight
                self.optimizer.state[weight] = {
                    k: clone_state(v, None if k in names else weight.device) for k, v in slots.items()
                }
        self.optimizer.state.update(clone_state(state.get("rest", {}), self.weights[0].device))
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
        """Step the optimizer, which may read the loss, and free the gradients.

        An optimizer may fail on weights of a member that has diverged (an eigendecomposition of NaN); no other member
        fails with it.
        """
        try:
            if self.scaler is None:
                self.optimizer.step(lambda: self.loss)
            else:
                self.scaler.step(self.optimizer, lambda: self.loss)
        except Exception:
            grads = [w.grad for w in self.weights if w.grad is not None]
            if all(bool(t.isfinite().all()) for t in (self.loss, *grads)):
                raise
        for weight in self.weights:  # `Module.zero_grad` walks all modules, which takes longer than a small update
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


def _on_host(slot: Any) -> bool:
    """True if an optimizer keeps this slot on the CPU, whatever the device of its weight."""
    tensors = [leaf for leaf in pytree.tree_leaves(slot) if isinstance(leaf, Tensor)]
    return bool(tensors) and all(t.is_cpu for t in tensors)
