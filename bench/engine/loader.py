"""What members are fed: batches as a pure function of (seed, step), and whole splits for evaluation.

Data that are held lie on the device, and a batch is one `index_select` per array: for small tasks a DataLoader costs
more than the training step. Data that are streamed are read ahead by a DataLoader's workers; see `stream.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar
from weakref import WeakMethod

from bench.contract import Array, Batch, InputError, Split, Stream, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.engine.prefetch import WorkerReader

Tensors: TypeAlias = "tuple[Tensor, ...]"

T = TypeVar("T")

CHUNK = 256
"""Examples evaluated at once, or a batch if that is larger."""


class ReadRequest(NamedTuple):
    """An example of a stream that is wanted."""

    split: str
    example: int
    key: int | None  # what its augmentation is drawn from, if any


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


def weakly(method: Callable[..., T]) -> Callable[..., T]:
    """A method that may be kept by its own object: that would lie in a cycle, and outlive its cohort, otherwise."""
    kept = WeakMethod(method)

    def called(*args: Any) -> T:
        alive = kept()
        assert alive is not None, "its object is gone"
        return alive(*args)

    return called


class Chunks:
    """Inputs of a split, a chunk at a time; made anew each time they are gone through."""

    def __init__(self, make: Callable[[], Iterator[Tensors]]):
        self._make = make

    def __iter__(self) -> Iterator[Tensors]:
        return self._make()


class Loader:
    """Batches and splits of one task on one device.

    Args:
        task: What is learnt.
        seed: Of the order of the examples, of augmentation, of dropout and of the initial weights.
        device: Where the tensors lie.
        dtype: Of floating inputs and targets, and of the weights; None is float32.
        rank: Which slice of each batch this process takes, and which chunks of a split, in turn,
        world: of how many.

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
        train = self._data.train
        self._held = self._tensors(train) if isinstance(train, Split) else None
        self._ahead: tuple[int, Iterator[Batch]] = (-1, iter(()))  # the step that a stream's reader gives next
        self._order = lru_cache(maxsize=2)(weakly(self._shuffled))
        self._reader = lru_cache(maxsize=1)(weakly(self._opened))
        self._splits: dict[str, tuple[Iterable[Tensors], Tensors]] = {}
        self.heartbeat: Callable[[], None] = lambda: None  # called at every batch and every chunk of a split

    # ------------------------------------------------------------------------------------------- batches

    def batch(self, step: int) -> Batch:
        """(inputs, target) of update `step`; a rank sees its own slice."""
        self.heartbeat()
        if self._held is None:
            return self._streamed(step)
        if self.task.prepare is None:
            return self._picked(self._held, self._examples(step, self._slice))
        # The whole batch is prepared, so that augmentation does not hang on the number of processes.
        whole = self._picked(self._held, self._examples(step, slice(None)))
        inputs, target = self._cast(self.task.prepare(*whole, self._generator(step)))
        return tuple(a[self._slice] for a in inputs), tuple(a[self._slice] for a in target)

    def dropout_key(self, step: int, micro_batch: int = 0) -> int:
        """Seed of torch's generator before a forward of update `step`; the same for every member.

        Micro-batches are counted over all processes, so it does not matter which of them computes one.
        """
        return key(self.seed, step, micro_batch, 0, "dropout")

    @property
    def _slice(self) -> slice:
        """Of a batch, what this rank takes."""
        share = self.task.batch_size // self.world
        return slice(self.rank * share, (self.rank + 1) * share)

    def _examples(self, step: int, part: slice) -> Tensor:
        """Indices of the examples in a part of the batch of update `step`."""
        epoch, i = divmod(step, self.epoch_steps)
        return self._order(epoch)[i * self.task.batch_size : (i + 1) * self.task.batch_size][part]

    def _generator(self, step: int) -> torch.Generator:
        import torch

        return torch.Generator().manual_seed(key(self.seed, step, "prepare"))

    def _shuffled(self, epoch: int) -> Tensor:
        import torch

        generator = torch.Generator().manual_seed(key(self.seed, epoch, "order"))
        order = torch.randperm(len(self._data.train), generator=generator)
        return order if self._held is None else order.to(self.device)

    def _picked(self, held: Batch, examples: Tensor) -> Batch:
        inputs, target = held
        return tuple(a.index_select(0, examples) for a in inputs), tuple(a.index_select(0, examples) for a in target)

    def _streamed(self, step: int) -> Batch:
        """The batch of update `step` from the reader, which is sent there if it stands elsewhere."""
        expected, batches = self._ahead
        if step != expected:
            batches = self._reader().read(self._requests(step))
        self._ahead = step + 1, batches
        return self._prepared(next(batches))

    def _requests(self, step: int) -> Iterator[list[ReadRequest]]:
        """What this rank will want of the train split from update `step` on, each example with its own key."""
        while True:
            epoch, wanted = step // self.epoch_steps, self._examples(step, self._slice).tolist()
            yield [ReadRequest("train", i, key(self.seed, epoch, i, "read")) for i in wanted]
            step += 1

    def _opened(self) -> WorkerReader:
        from bench.engine.prefetch import WorkerReader

        return WorkerReader(self._data, self.device)

    def close(self) -> None:
        """End the workers that read a stream, and forget splits; what is asked for after this starts anew."""
        self._ahead = -1, iter(())
        self._reader.cache_clear()
        self._splits.clear()  # their chunks know the feed

    # ------------------------------------------------------------------------------------------ evaluation

    def split(self, name: str) -> tuple[Iterable[Tensors], Tensors]:
        """A split: this rank's chunks of inputs on the device, as the model takes them, and all of the target."""
        if name not in self._splits:
            self._splits[name] = self._split(name)
        chunks, target = self._splits[name]
        return Chunks(lambda: self._beating(chunks)), target

    def _beating(self, chunks: Iterable[Tensors]) -> Iterator[Tensors]:
        for chunk in chunks:
            self.heartbeat()
            yield chunk

    def _split(self, name: str) -> tuple[Iterable[Tensors], Tensors]:
        import torch

        split = getattr(self._data, name)
        size = max(CHUNK, self.task.batch_size)
        if isinstance(split, Stream):
            target = tuple(self._tensor(a).cpu() for a in split.target)
            return Chunks(lambda: self._read(name, len(split), size)), target
        inputs, target = self._tensors(split)
        ended = tuple(a.cpu() for a in target)
        chunks = [torch.split(a, size)[self.rank :: self.world] for a in (*inputs, *target)]
        parts = [(part[: len(inputs)], part[len(inputs) :]) for part in zip(*chunks, strict=True)]
        if self.task.prepare is None:
            return [part[0] for part in parts], ended
        return Chunks(lambda: (self._prepared(part)[0] for part in parts)), ended

    def _read(self, name: str, length: int, size: int) -> Iterator[Tensors]:
        starts = range(0, length, size)[self.rank :: self.world]
        wanted = ([ReadRequest(name, i, None) for i in range(a, min(a + size, length))] for a in starts)
        self._ahead = -1, iter(())  # the reader goes one way at a time
        return (self._prepared(batch)[0] for batch in self._reader().read(wanted))

    def _prepared(self, batch: Batch) -> Batch:
        """As the model takes it; nothing is drawn."""
        return self._cast(batch if self.task.prepare is None else self.task.prepare(*batch, None))

    # -------------------------------------------------------------------------------------------- tensors

    def _tensors(self, split: Split) -> Batch:
        return tuple(map(self._tensor, split.inputs)), tuple(map(self._tensor, split.target))

    def _tensor(self, array: Array) -> Tensor:
        import torch

        return self._typed(torch.tensor(array, device=self.device))

    def _cast(self, batch: Batch) -> Batch:
        inputs, target = batch
        return tuple(map(self._typed, inputs)), tuple(map(self._typed, target))

    def _typed(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor
