"""What a task hands over: three splits, held whole as arrays, or streamed where they are too large for that."""

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
    stamp: str = ""  # what else its digest covers

    def __len__(self) -> int:
        return len(self.target[0])

    def marks(self) -> Iterator[Any]:
        """What its digest covers: the stamp, and every array's dtype, shape and bytes."""
        yield self.stamp.encode()
        for a in (*self.inputs, *self.target):
            yield f"{a.dtype}{a.shape}".encode()
            yield a.tobytes()


@dataclass(frozen=True)
class Stream:
    """A split too large to hold: an example is read when it is asked for, in worker processes.

    `read(i, key)` gives inputs and target of example i; it draws augmentation from `key`, an integer, and from nothing
    else, and None stands for no augmentation. It is pickled, and imports what it needs by itself.
    """

    read: Callable[[int, int | None], tuple[Arrays, Arrays]]
    target: Arrays  # of all examples, as they are evaluated
    stamp: str  # tells other data apart: names and sizes of all files

    def __len__(self) -> int:
        return len(self.target[0])

    def marks(self) -> Iterator[Any]:
        """What its digest covers: the stamp, and the targets."""
        yield self.stamp.encode()
        yield from (a.tobytes() for a in self.target)


class Data(NamedTuple):
    """The three splits: schedules and choices may see `control`; nothing but the report ever sees `test`."""

    train: Split | Stream
    control: Split | Stream
    test: Split | Stream

    def digest(self) -> str:
        """Digest of what the splits hold."""
        h = hashlib.sha256()
        for split in self:
            for mark in split.marks():
                h.update(mark)
        return h.hexdigest()[:12]
