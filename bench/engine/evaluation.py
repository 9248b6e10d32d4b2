"""Measurements of members: losses and gradient norms of looks, and scores on splits. M = members."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree as pytree

from bench.contract import Array, Task
from bench.engine.data_parallel import gather_in_order
from bench.engine.loader import Loader

RECALIBRATION = 32
"""Training batches, the first of epoch 0, over which BatchNorm statistics are recomputed."""


class LookHistory:
    """Losses and gradient norms [M] of looks. They stay on the device until they are read."""

    def __init__(self) -> None:
        self._pending: list[Tensor] = []
        self._latest: tuple[Tensor, Tensor | None] | None = None

    def record(self, look_2M: Tensor, dot_M: Tensor | None = None) -> None:
        """Add a look's losses and gradient norms, and `grad_dot` where gradients are recalled."""
        self._latest = look_2M, dot_M
        self._pending.append(look_2M)

    def signals(self) -> list[tuple[float, float, float]]:
        """(loss, gradient norm, grad_dot) of the last look, per member."""
        assert self._latest is not None, "look before asking for signals"
        look_2M, dot_M = self._latest
        losses, norms = look_2M.tolist()
        dots = [0.0] * len(losses) if dot_M is None else dot_M.tolist()
        return list(zip(losses, norms, dots, strict=True))

    def history(self) -> list[tuple[Array, Array]]:
        """(loss [M], gradient norm [M]) of each look since the last call, in one transfer."""
        if not self._pending:
            return []
        flat = torch.cat(self._pending, dim=1).cpu().numpy()
        ends = torch.tensor([look_2M.shape[1] for look_2M in self._pending]).cumsum(0).tolist()
        self._pending.clear()
        return [(flat[0, a:b], flat[1, a:b]) for a, b in zip([0, *ends], ends, strict=False)]


def collect_outputs(chunks: Iterable[Any], forward: Callable[[Any], Any], accelerator: Any = None) -> list[Any]:
    """Outputs of `forward` for each chunk of a split, moved to the CPU.

    Processes take the chunks in turn; each gets the outputs of all chunks, in order.
    """
    # The outputs of a whole split may be larger than the device's memory.
    return gather_in_order(accelerator, (pytree.tree_map(lambda a: a.cpu(), forward(inputs)) for inputs in chunks))


def score(task: Task, outputs: Sequence[Any], target: Sequence[Tensor]) -> dict[str, float]:
    """Scores of a whole split from the outputs of its chunks, and `finite`: 1.0 if no output is NaN or infinite.

    If an output is not finite, the headline metric is NaN and the task's `score` is not called.
    """
    output = pytree.tree_map(lambda *parts: torch.cat(parts), *outputs)
    leaves = [a for a in pytree.tree_leaves(output) if a.is_floating_point()]
    if not all(bool(a.isfinite().all()) for a in leaves):
        return {task.metric: float("nan"), "finite": 0.0}
    return task.score(output, target) | {"finite": 1.0}


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """BatchNorm layers with running statistics, which the model uses in evaluation."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


def recalibrate(model: nn.Module, loader: Loader, forward: Callable[..., object]) -> None:
    """Recompute BatchNorm statistics as the mean over RECALIBRATION training batches, with dropout off.

    Args:
        model: The model, whose layers are switched to the mean; the statistics have been reset to 0 and 1.
        loader: Source of the batches.
        forward: Runs `model`, or stacked rows of its weights, on the inputs.
    """
    norms = batch_norms(model)
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.train()
    for k in range(min(loader.epoch_steps, RECALIBRATION)):
        inputs, _ = loader.batch(k)
        for norm in norms:
            norm.momentum = 1.0 / (k + 1)  # the same mean as `momentum=None`, which cannot run under vmap
        forward(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def distinct(rows: Iterable[int]) -> list[int]:
    """Each row once, in order of first appearance."""
    return list(dict.fromkeys(rows))
