"""What an engine reads off its members: losses and gradient norms of looks, and scores of splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree as pytree

from bench.contract import Array, Task
from bench.engine.data_parallel import gathered
from bench.engine.loader import Loader

RECALIBRATION = 32
"""Training batches, the first of epoch 0, over which BatchNorm statistics are averaged anew."""


class LookHistory:
    """Losses and gradient norms [M] of looks, kept on the device until asked for."""

    def __init__(self) -> None:
        self._since: list[Tensor] = []
        self._last: tuple[Tensor, Tensor | None] | None = None

    def hold(self, loss_M: Tensor, norm_M: Tensor, dot_M: Tensor | None = None) -> None:
        """Keep a look's losses and norms, and the inner products with the gradients before, where they are kept."""
        both = torch.stack((loss_M, norm_M))
        self._last = both, dot_M
        self._since.append(both)

    def signals(self) -> list[tuple[float, float, float]]:
        """(loss, gradient norm, grad_dot) of the last look, per member."""
        assert self._last is not None, "look before asking for signals"
        both, dot_M = self._last
        loss_M, norm_M = both.tolist()
        return list(zip(loss_M, norm_M, [0.0] * len(loss_M) if dot_M is None else dot_M.tolist(), strict=True))

    def history(self) -> list[tuple[Array, Array]]:
        """(loss [M], gradient norm [M]) of each look since the last call, in one transfer."""
        if not self._since:
            return []
        flat = torch.cat(self._since, dim=1).cpu().numpy()
        ends = torch.tensor([held.shape[1] for held in self._since]).cumsum(0).tolist()
        self._since.clear()
        return [(flat[0, a:b], flat[1, a:b]) for a, b in zip([0, *ends], ends, strict=False)]


def answers(chunks: Iterable[Any], forward: Callable[[Any], Any], accelerator: Any = None) -> list[Any]:
    """What `forward` answers to each chunk of a split, on the CPU: on a device, a split's may be more than its memory.

    Processes that were dealt the chunks in turn all have the whole.
    """
    return gathered(accelerator, (pytree.tree_map(lambda a: a.cpu(), forward(inputs)) for inputs in chunks))


def score(task: Task, outputs: Sequence[Any], target: Sequence[Tensor]) -> dict[str, float]:
    """Scores of a whole split from the outputs of its chunks, and `finite`: 1.0 if no output is NaN or infinite.

    Where an output is not finite, the headline is NaN and the task is not asked.
    """
    output = pytree.tree_map(lambda *parts: torch.cat(parts), *outputs)
    leaves = [a for a in pytree.tree_leaves(output) if a.is_floating_point()]
    if not all(bool(a.isfinite().all()) for a in leaves):
        return {task.metric: float("nan"), "finite": 0.0}
    return task.score(output, target) | {"finite": 1.0}


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Layers whose running statistics decide what the model answers."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


def renew(model: nn.Module, feed: Loader, forward: Callable[..., object]) -> None:
    """Average BatchNorm statistics anew, with equal weight for each of RECALIBRATION batches; dropout is off.

    `forward` runs `model` (or rows in its shape) on the inputs; the statistics start from 0 and 1. Equals what
    `momentum=None` computes, which cannot run under vmap.
    """
    norms = batch_norms(model)
    usual = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.train()
    for k in range(min(feed.epoch_steps, RECALIBRATION)):
        inputs, _ = feed.batch(k)
        for norm in norms:
            norm.momentum = 1.0 / (k + 1)
        forward(*inputs)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


def distinct(rows: Iterable[int]) -> list[int]:
    """Each row once, in order of first appearance."""
    return list(dict.fromkeys(rows))
