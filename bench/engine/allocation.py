"""A count of what torch allocates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class AllocationMeter(TorchDispatchMode):
    """Counts the bytes of tensors allocated inside it that are alive, after every operation.

    Compiled programs allocate where it does not see it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}  # those that may be alive, by address
        self.bound, self.most = 0, 0  # bytes: of all these, and at most of those alive

    def __torch_dispatch__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count."""
        before = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        output = function(*args, **kwargs or {})
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor) and (own := tensor.untyped_storage()).data_ptr() not in before:
                self._add(own.data_ptr(), StorageWeakRef(own), own.nbytes())  # type: ignore[no-untyped-call]
        if self.bound > self.most:  # only then may more be alive than ever before
            self.storages = {place: entry for place, entry in self.storages.items() if not entry[0].expired()}  # type: ignore[no-untyped-call]
            self.bound = sum(size for _, size in self.storages.values())
            self.most = max(self.most, self.bound)
        return output

    def _add(self, place: int, reference: StorageWeakRef, size: int) -> None:
        if place in self.storages:
            self.bound -= self.storages[place][1]
        self.storages[place] = reference, size
        self.bound += size
