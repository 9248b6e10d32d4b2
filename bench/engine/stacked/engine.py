"""The fast engine: M members as rows of stacked weights and buffers, with one vmapped forward and backward for all.

A member equals its solo run in `modules` to rounding. At width 1 torch uses other kernels, and the last bit differs;
so a single member has a shadow, and there are W = max(M, 2) rows. M = members, W = rows, P = weights of one member.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.utils import _pytree as pytree

from bench.contract import Batch, InputError, Task
from bench.engine.evaluation import batch_norms, recalibrate
from bench.engine.loader import Loader, weak_method
from bench.engine.rows import Copies, RowEngine
from bench.engine.stacked.layout import NamedTensors, clone_tensors, layout, stack_twice
from bench.engine.stacked.traced import State, TracedLook, traces_of
from bench.strategies.optimizer import Optimizer


def not_stackable(task: Task, error: RuntimeError) -> InputError:
    """The error for a model that vmap refuses."""
    reason = str(error).strip().split("\n")[0]
    return InputError(f"{task.name} cannot be stacked: use --engine modules ({reason})")


class Stacked(RowEngine):
    """The engine of stacked rows; for its methods see `bench.contract.Engine`.

    Buffers are stacked one by one. Integer buffers (counts of batches, positions) are equal for all members, so there
    is one of each.

    Args:
        loader: Source of the task, the batches and the splits.
        optimizer: One of `optimizers.STACKABLE`.
        weight_decay: Weight decay as in torch.optim.
        accelerator: Accelerator of Accelerate under data parallelism, else None.

    Raises:
        InputError: a model that cannot be stacked, or BatchNorm under data parallelism.
    """

    LEAST = 2

    def __init__(self, loader: Loader, optimizer: Optimizer, weight_decay: float, accelerator: Any = None):
        super().__init__(loader, accelerator)
        self._losses = vmap(weak_method(self._loss), in_dims=(0, 0, None, None, None), randomness="same")
        self._look = TracedLook(self._losses, traces_of(self.task, loader.dtype, loader.device))
        self._outputs = vmap(weak_method(self._output), in_dims=(0, 0, None, None), randomness="same")
        buffers = {name: b.clone() for name, b in self._model.named_buffers()}
        self._counts = {name: b for name, b in buffers.items() if not b.is_floating_point()}
        self._buffers = {name: stack_twice(b) for name, b in buffers.items() if b.is_floating_point()}
        self._lay_out(self._trial_gradients(), optimizer, weight_decay)

    def _trial_gradients(self) -> NamedTensors:
        """Gradients of one member, by the names of the weights that the loss depends on.

        The other weights never change: torch.optim skips weights without a gradient.

        Raises:
            InputError: the model cannot be stacked.
        """
        weights = {name: stack_twice(p.detach()) for name, p in self._model.named_parameters() if p.requires_grad}
        leaves = [w.requires_grad_() for w in weights.values()]
        try:
            loss_W = self._losses(
                weights, clone_tensors(self._buffers), clone_tensors(self._counts), *self.loader.batch(0)
            )
            grads = torch.autograd.grad(loss_W.sum(), leaves, allow_unused=True)
        except RuntimeError as error:
            raise not_stackable(self.task, error) from error
        return {name: grad[0] for name, grad in zip(weights, grads, strict=True) if grad is not None}

    def _arrange(self, grads: NamedTensors) -> Mapping[str, int]:
        self._layouts = {name: layout(grad) for name, grad in grads.items()}
        return dict(zip(grads, accumulate(grad.numel() for grad in grads.values()), strict=True))

    def _set_rows(self, weight_WP: Tensor, grad_WP: Tensor | None = None) -> None:
        """Make the weights and their gradients views of the rows, too."""
        super()._set_rows(weight_WP, grad_WP)
        self._leaves = {name: part.detach().requires_grad_() for name, part in self._parts(weight_WP).items()}
        self._grads = list(self._parts(self._grad_WP).values())

    def _parts(self, flat_WP: Tensor) -> NamedTensors:
        """Views [W, *shape] of rows, by the names of weights."""
        sizes = [math.prod(shape) for shape, _ in self._layouts.values()]
        views = {}
        for (name, (shape, axes)), part in zip(self._layouts.items(), torch.split(flat_WP, sizes, dim=1), strict=True):
            views[name] = part.view(len(flat_WP), *shape).permute(axes)
        return views

    def _output(
        self, weights: NamedTensors, buffers: NamedTensors, counts: NamedTensors, inputs: tuple[Tensor, ...]
    ) -> Any:
        return functional_call(self._model, (weights, buffers, counts), inputs)

    def _loss(
        self, weights: NamedTensors, buffers: NamedTensors, counts: NamedTensors, inputs: Any, target: Any
    ) -> Tensor:
        return self.task.loss(self._output(weights, buffers, counts, inputs), target)

    def _state(self) -> State:
        """Arguments of a look: the leaves whose gradients are `_grads`, buffers and counts."""
        return self._leaves, self._buffers, self._counts

    def _backward(self, batch: Batch, step: int) -> Tensor:
        return self._look(self._reseed(step), self._state(), batch, self._grads)

    def _norms(self, grad_WP: Tensor) -> Tensor:
        norm_W: Tensor = torch.linalg.vector_norm(grad_WP, dim=1)
        return norm_W

    # ---------------------------------------------------------------------------------------- evaluate

    def _outputs_of(self, copies: Copies, inputs: tuple[Tensor, ...]) -> Any:
        weight_KP, *rest = copies
        return self._outputs(self._parts(weight_KP), *rest, inputs)

    def _output_of(self, outputs: Any, i: int) -> Any:
        return pytree.tree_map(itemgetter(i), outputs)

    def _named(self, copies: Copies, i: int) -> NamedTensors:
        weight_KP, buffers, counts = copies
        return {name: stacked_K[i] for name, stacked_K in (self._parts(weight_KP) | buffers).items()} | counts

    def _recompute(self, copies: Copies) -> None:
        norms, (weight_KP, buffers, counts) = batch_norms(self._model), copies
        for prefix, module in self._model.named_modules():
            if module in norms:
                buffers[f"{prefix}.running_mean".lstrip(".")].zero_()
                buffers[f"{prefix}.running_var".lstrip(".")].fill_(1)
                counts[f"{prefix}.num_batches_tracked".lstrip(".")].zero_()
        weights = self._parts(weight_KP)
        recalibrate(self._model, self.loader, lambda *inputs: self._outputs(weights, buffers, counts, inputs))
        self._model.train()
