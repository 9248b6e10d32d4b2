"""Prefetching of streamed examples by the worker processes of a DataLoader."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from bench.contract import Batch, Data, InputError, Stream
from bench.data import ReadRequest
from bench.ledger.machine import processors, variable
from bench.preempt import SIGNALS, hold_signals
from schedules.user_code import Portable

MOST = 16
"""Upper limit of worker processes of a reader."""


def worker_count(device: torch.device) -> int:
    """Number of worker processes of a reader; 0 reads in the training process.

    With a GPU: the cores of this process, divided by the number of processes on this node.
    """
    # Training on CPUs needs the cores itself; a worker process of a run has one core and may not have children.
    if device.type == "cpu" or multiprocessing.current_process().daemon:
        return 0
    return min(MOST, processors() // variable("LOCAL_WORLD_SIZE", 1, least=1))


class Examples(Dataset[Any]):
    """The streamed splits as one data set, whose batches are lists of requests.

    It is copied to every worker process, so it contains no in-memory split.
    """

    def __init__(self, data: Data):
        # A reader may be of a class in a user's file, which a new process has not executed.
        self._streams = Portable({name: split for name, split in data._asdict().items() if isinstance(split, Stream)})

    def __getitems__(self, requests: Sequence[ReadRequest]) -> Batch | InputError:
        """The batch of these requests, or the InputError of an example that cannot be read."""
        # The error is returned: DataLoader would wrap one raised in a worker, and its one-line message would be lost.
        try:
            examples = [self._streams.value[split].read(example, key) for split, example, key in requests]
        except InputError as error:
            return error
        inputs, target = (zip(*half, strict=True) for half in zip(*examples, strict=True))
        return tuple(map(_stack, inputs)), tuple(map(_stack, target))


def _stack(arrays: Sequence[Any]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays))


class RequestSampler(Sampler[list[ReadRequest]]):
    """Yields the requests of the present read, in order."""

    requests: Iterable[list[ReadRequest]] = ()

    def __init__(self) -> None:
        pass

    def __iter__(self) -> Iterator[list[ReadRequest]]:
        return iter(self.requests)


class WorkerReader:
    """Reads batches in the order of their requests, a few ahead; its worker processes end with it.

    Args:
        data: Splits, of which the streamed ones can be read.
        device: Device of the batches.
        workers: Number of worker processes; None is that of `crew`.
    """

    def __init__(self, data: Data, device: torch.device, workers: int | None = None):
        self._sampler, self._device = RequestSampler(), device
        workers = worker_count(device) if workers is None else workers
        self._loader = DataLoader(
            Examples(data),
            batch_sampler=self._sampler,
            num_workers=workers,
            collate_fn=_identity,
            pin_memory=device.type == "cuda",
            multiprocessing_context="spawn" if workers else None,
            persistent_workers=bool(workers),
            worker_init_fn=_ignore_interrupt if workers else None,
        )

    def read(self, requests: Iterable[list[ReadRequest]]) -> Iterator[Batch]:
        """Yield the batches of these requests, on the device. Ends the read before.

        Raises:
            InputError: an example cannot be read.
        """
        self._sampler.requests = requests
        with hold_signals():
            batches = iter(self._loader)
        for batch in batches:
            if isinstance(batch, InputError):
                raise InputError(str(batch))  # a new one: the worker's would refer to this frame, and so to the reader
            inputs, target = batch
            yield tuple(map(self._to_device, inputs)), tuple(map(self._to_device, target))

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._device, non_blocking=True)


def _ignore_interrupt(worker: int) -> None:
    """Ignore SIGINT, which a terminal sends to worker processes too: the reader ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _identity(batch: Any) -> Any:
    return batch
