"""Data of a task: three splits, as arrays in memory, or streamed where they are too large for that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
Arrays: TypeAlias = "tuple[Array, ...]"


@dataclass(frozen=True)
class Split:
    """Arrays of one split; the first axis of each is the example."""

    inputs: Arrays  # positional arguments of the model
    target: Arrays  # what loss and score compare the output with
    stamp: str = ""  # further text that the digest covers

    def __len__(self) -> int:
        return len(self.target[0])

    def marks(self) -> Iterator[Any]:
        """Bytes for the digest: the stamp, and the dtype, shape and bytes of every array."""
        yield self.stamp.encode()
        for a in (*self.inputs, *self.target):
            yield f"{a.dtype}{a.shape}".encode()
            yield a.tobytes()


@dataclass(frozen=True)
class Stream:
    """A split too large for memory: worker processes read each example when it is needed.

    `read(i, key)` returns inputs and target of example i. It draws the augmentation from the integer `key` alone; None
    means no augmentation. It is pickled for the workers, so it imports its modules itself.
    """

    read: Callable[[int, int | None], tuple[Arrays, Arrays]]
    target: Arrays  # of all examples, for evaluation
    stamp: str  # identifies the data: names and sizes of all files

    def __len__(self) -> int:
        return len(self.target[0])

    def marks(self) -> Iterator[Any]:
        """Bytes for the digest: the stamp and the targets."""
        yield self.stamp.encode()
        yield from (a.tobytes() for a in self.target)


class ReadRequest(NamedTuple):
    """A request for one example of a stream."""

    split: str
    example: int
    key: int | None  # seed of its augmentation, None without


class Data(NamedTuple):
    """The three splits. Schedules and selection may use `control`; only the report uses `test`."""

    train: Split | Stream
    control: Split | Stream
    test: Split | Stream

    def digest(self) -> str:
        """Digest of the splits."""
        h = hashlib.sha256()
        for split in self:
            for mark in split.marks():
                h.update(mark)
        return h.hexdigest()[:12]
