"""Loading of batches, a pure function of (seed, step), and of whole splits for evaluation.

In-memory splits are stored on the device, and a batch is one `index_select` per array: for small tasks a DataLoader
costs more than the training step. Streamed splits are read ahead by a DataLoader's workers; see `prefetch.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from weakref import WeakMethod

from bench.contract import Array, Batch, InputError, Split, Stream, Task
from bench.data import ReadRequest
from bench.to_device import send

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.engine.prefetch import WorkerReader

Tensors: TypeAlias = "tuple[Tensor, ...]"

T = TypeVar("T")

CHUNK = 256
"""Examples evaluated at once, unless a batch is larger."""


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


def weak_method(method: Callable[..., T]) -> Callable[..., T]:
    """A function that calls a bound method without a reference to its object."""
    # An object that stored its own bound method would be in a reference cycle, and outlive its cohort.
    reference = WeakMethod(method)

    def call(*args: Any) -> T:
        target = reference()
        assert target is not None, "the method's object no longer exists"
        return target(*args)

    return call


def cut(batch: Batch, lengths: Array) -> Batch:
    """A batch with its inputs cut to the longest of these lengths."""
    inputs, target = batch
    longest = int(lengths.max())
    return tuple(a[:, :longest] for a in inputs), target


class Chunks:
    """Inputs of a split, a chunk at a time; each iteration makes them again."""

    def __init__(self, make: Callable[[], Iterator[Tensors]]):
        self._make = make

    def __iter__(self) -> Iterator[Tensors]:
        return self._make()


class Loader:
    """Batches and splits of one task on one device.

    Args:
        task: Task whose data are loaded.
        seed: Seed of the order of the examples, of augmentation, of dropout and of the initial weights.
        device: Device of the tensors.
        dtype: Type of floating inputs and targets, and of the weights; None is float32.
        rank: Index of this process. It takes slice `rank` of each batch, and every `world`-th chunk of a split.
        world: Number of processes.

    Raises:
        InputError: the train split does not fill a batch, or a batch cannot be split into `world` equal slices.
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
        self._in_memory = self._tensors(train) if isinstance(train, Split) else None
        self._lengths = self._lengths_of(train)
        self._next: tuple[int, Iterator[Batch]] = (-1, iter(()))  # the reader's next step, and its batches from there
        self._order = lru_cache(maxsize=2)(weak_method(self._shuffle))
        self._reader = lru_cache(maxsize=1)(weak_method(self._open_reader))
        self._splits: dict[str, tuple[Iterable[Tensors], Tensors]] = {}
        self.heartbeat: Callable[[], None] = lambda: None  # called at every batch and every chunk of a split

    # ------------------------------------------------------------------------------------------- batches

    def batch(self, step: int) -> Batch:
        """(inputs, target) of update `step`: this rank's slice of the batch."""
        self.heartbeat()
        if self._in_memory is None:
            return self._stream_batch(step)
        if self.task.prepare is None:
            return self._cut(self._pick(self._in_memory, self._examples(step, self._slice)), step)
        # The whole batch is prepared, so that augmentation does not depend on the number of processes.
        whole = self._cut(self._pick(self._in_memory, self._examples(step, slice(None))), step)
        inputs, target = self._cast(self.task.prepare(*whole, self._generator(step)))
        return tuple(a[self._slice] for a in inputs), tuple(a[self._slice] for a in target)

    def dropout_key(self, step: int, micro_batch: int = 0) -> int:
        """Seed of torch's generator before a forward of update `step`; the same for every member.

        Micro-batches are numbered over all processes, so the seed does not depend on the process that computes one.
        """
        return key(self.seed, step, micro_batch, 0, "dropout")

    @property
    def _slice(self) -> slice:
        """This rank's slice of a batch."""
        share = self.task.batch_size // self.world
        return slice(self.rank * share, (self.rank + 1) * share)

    def _examples(self, step: int, part: slice, *, on_device: bool = True) -> Tensor:
        """Indices in the train split of the examples in a part of the batch of update `step`."""
        epoch, i = divmod(step, self.epoch_steps)
        return self._order(epoch)[on_device][i * self.task.batch_size : (i + 1) * self.task.batch_size][part]

    def _cut(self, batch: Batch, step: int) -> Batch:
        """A batch with its inputs cut to the longest of all examples of update `step`, if the task has lengths."""
        if self._lengths is None:
            return batch
        # Lengths are on the CPU, so that nothing waits for the device.
        return cut(batch, self._lengths[self._examples(step, slice(None), on_device=False).numpy()])

    def _lengths_of(self, split: Split | Stream) -> Array | None:
        return self.task.lengths(split) if self.task.lengths is not None and isinstance(split, Split) else None

    def _generator(self, step: int) -> torch.Generator:
        import torch

        return torch.Generator().manual_seed(key(self.seed, step, "prepare"))

    def _shuffle(self, epoch: int) -> tuple[Tensor, Tensor]:
        """The order of an epoch, on the CPU and where the data are."""
        import torch

        generator = torch.Generator().manual_seed(key(self.seed, epoch, "order"))
        order = torch.randperm(len(self._data.train), generator=generator)
        return order, order if self._in_memory is None else send(self.device, order)[0]

    def _pick(self, split: Batch, examples: Tensor) -> Batch:
        inputs, target = split
        return tuple(a.index_select(0, examples) for a in inputs), tuple(a.index_select(0, examples) for a in target)

    def _stream_batch(self, step: int) -> Batch:
        """The batch of update `step` from the reader, which starts again there if its next step is another."""
        expected, batches = self._next
        if step != expected:
            batches = self._reader().read(self._requests(step))
        self._next = step + 1, batches
        return self._prepare(next(batches))

    def _requests(self, step: int) -> Iterator[list[ReadRequest]]:
        """Requests for this rank's slices of the batches from update `step` on, each example with its own key."""
        while True:
            epoch, examples = step // self.epoch_steps, self._examples(step, self._slice).tolist()
            yield [ReadRequest("train", i, key(self.seed, epoch, i, "read")) for i in examples]
            step += 1

    def _open_reader(self) -> WorkerReader:
        from bench.engine.prefetch import WorkerReader

        return WorkerReader(self._data, self.device)

    def close(self) -> None:
        """End the workers that read a stream and drop cached splits; a later call starts them again."""
        self._next = -1, iter(())
        self._reader.cache_clear()
        self._splits.clear()  # their chunks refer to the loader, which would be a cycle

    # ------------------------------------------------------------------------------------------ evaluation

    def split(self, name: str) -> tuple[Iterable[Tensors], Tensors]:
        """A split: this rank's chunks of prepared inputs on the device, and the whole target on the CPU."""
        if name not in self._splits:
            self._splits[name] = self._split(name)
        chunks, target = self._splits[name]
        return Chunks(lambda: self._with_heartbeat(chunks)), target

    def _with_heartbeat(self, chunks: Iterable[Tensors]) -> Iterator[Tensors]:
        for chunk in chunks:
            self.heartbeat()
            yield chunk

    def _split(self, name: str) -> tuple[Iterable[Tensors], Tensors]:
        import torch

        split = getattr(self._data, name)
        size = max(CHUNK, self.task.batch_size)
        if isinstance(split, Stream):
            target = tuple(self._tensor(a).cpu() for a in split.target)
            return Chunks(lambda: self._read_chunks(name, len(split), size)), target
        inputs, target = self._tensors(split)
        on_cpu = tuple(a.cpu() for a in target)
        chunks = [torch.split(a, size)[self.rank :: self.world] for a in (*inputs, *target)]
        parts = [(part[: len(inputs)], part[len(inputs) :]) for part in zip(*chunks, strict=True)]
        if (lengths := self._lengths_of(split)) is not None:
            starts = range(0, len(split), size)[self.rank :: self.world]
            parts = [cut(part, lengths[a : a + size]) for part, a in zip(parts, starts, strict=True)]
        if self.task.prepare is None:
            return [part[0] for part in parts], on_cpu
        return Chunks(lambda: (self._prepare(part)[0] for part in parts)), on_cpu

    def _read_chunks(self, name: str, length: int, size: int) -> Iterator[Tensors]:
        starts = range(0, length, size)[self.rank :: self.world]
        requests = ([ReadRequest(name, i, None) for i in range(a, min(a + size, length))] for a in starts)
        self._next = -1, iter(())  # a new read ends the reader's sequence of training batches
        return (self._prepare(batch)[0] for batch in self._reader().read(requests))

    def _prepare(self, batch: Batch) -> Batch:
        """The batch as the model takes it, without augmentation."""
        return self._cast(batch if self.task.prepare is None else self.task.prepare(*batch, None))

    # -------------------------------------------------------------------------------------------- tensors

    def _tensors(self, split: Split) -> Batch:
        return tuple(map(self._tensor, split.inputs)), tuple(map(self._tensor, split.target))

    def _tensor(self, array: Array) -> Tensor:
        import torch

        return self._to_dtype(torch.tensor(array, device=self.device))

    def _cast(self, batch: Batch) -> Batch:
        inputs, target = batch
        return tuple(map(self._to_dtype, inputs)), tuple(map(self._to_dtype, target))

    def _to_dtype(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor
