"""What members are fed: batches as a pure function of (seed, step), and whole splits for evaluation.

All data lie on the device, and a batch is one `index_select` per array: for small tasks a DataLoader costs more than
the training step.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from bench.contract import Array, Batch, InputError, Split, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CHUNK = 256
"""Examples evaluated at once, or a batch if that is larger."""


def epoch_steps(task: Task) -> int:
    """Updates per epoch; the last partial batch is dropped.

    Raises:
        InputError: the train split does not fill one batch.
    """
    examples = len(task.load().train)
    if examples < task.batch_size:
        raise InputError(f"{task.name}: a batch of {task.batch_size} is more than the {examples} training examples")
    return examples // task.batch_size


def key(*parts: object) -> int:
    """A seed for torch, 63 bits, that depends on every part: `key(seed, epoch, "order")`."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


class Feed:
    """Batches and splits of one task on one device.

    Args:
        task: What is learnt.
        seed: Of the order of the examples, of dropout and of the initial weights.
        device: Where the tensors lie.
        dtype: Of floating inputs and targets, and of the weights; None is float32.
        rank: Which slice of each batch this process takes,
        world: of how many equal slices.

    Raises:
        InputError: the train split does not fill a batch, or a batch cannot be cut into `world` equal slices.
    """

    def __init__(
        self,
        task: Task,
        seed: int,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        rank: int = 0,
        world: int = 1,
    ):
        import torch

        self.task, self.seed, self.rank, self.world = task, seed, rank, world
        self.device, self.dtype = torch.device(device), dtype or torch.float32
        self.epoch_steps = epoch_steps(task)
        if task.batch_size % world:
            raise InputError(f"{task.name}: a batch of {task.batch_size} cannot be shared equally by {world} processes")
        self._data = task.load()
        self._inputs, self._target = self._tensors(self._data.train)
        self._order = lru_cache(maxsize=2)(self._shuffled)
        self.split = lru_cache(maxsize=None)(self._split)

    def batch(self, step: int) -> Batch:
        """(inputs, target) of update `step`; a rank sees its own slice."""
        epoch, i = divmod(step, self.epoch_steps)
        share = self.task.batch_size // self.world
        start = i * self.task.batch_size + self.rank * share
        picked = self._order(epoch)[start : start + share]
        return (
            tuple(a.index_select(0, picked) for a in self._inputs),
            tuple(a.index_select(0, picked) for a in self._target),
        )

    def dropout_key(self, step: int, micro_batch: int = 0) -> int:
        """Seed of torch's generator before a forward of update `step`; the same for every member.

        Micro-batches are counted over all processes, so it does not matter which of them computes one.
        """
        return key(self.seed, step, micro_batch, 0, "dropout")

    def _split(self, name: str) -> tuple[list[tuple[Tensor, ...]], tuple[Tensor, ...]]:
        """A whole split: chunks of inputs on the device, and the target on the CPU."""
        import torch

        inputs, target = self._tensors(getattr(self._data, name))
        size = max(CHUNK, self.task.batch_size)
        chunks = list(zip(*(torch.split(a, size) for a in inputs), strict=True))
        return chunks, tuple(a.cpu() for a in target)

    def _shuffled(self, epoch: int) -> Tensor:
        import torch

        generator = torch.Generator().manual_seed(key(self.seed, epoch, "order"))
        return torch.randperm(len(self._data.train), generator=generator).to(self.device)

    def _tensors(self, split: Split) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        return tuple(map(self._tensor, split.inputs)), tuple(map(self._tensor, split.target))

    def _tensor(self, array: Array) -> Tensor:
        import torch

        tensor = torch.tensor(array, device=self.device)
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor
