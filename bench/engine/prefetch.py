"""Reading examples ahead of the training that wants them, in the worker processes of a DataLoader."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from bench.contract import Batch, Data, InputError, Stream
from bench.engine.loader import ReadRequest
from bench.ledger.machine import processors
from bench.preempt import SIGNALS, hold_signals

MOST = 16
"""Worker processes of a reader at most."""


def crew(device: torch.device) -> int:
    """Worker processes of a reader; 0 reads in the process itself.

    Beside a GPU, all cores of this process, shared with its neighbours. Training on CPUs has use for them itself; and a
    worker of Glideslope's own pool has one core, and may not have children.
    """
    if device.type == "cpu" or multiprocessing.current_process().daemon:
        return 0
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(MOST, processors() // local)


class Examples(Dataset[Any]):
    """The splits that are streamed as one data set, whose batches are asked for by requests.

    It is copied to every worker, so it has nothing of splits that are held.
    """

    def __init__(self, data: Data):
        self._streams = {name: it for name, it in data._asdict().items() if isinstance(it, Stream)}

    def __getitems__(self, requests: Sequence[ReadRequest]) -> Batch | InputError:
        """The batch asked for; an InputError is handed over, for raised in a worker it would lose its one line."""
        try:
            examples = [self._streams[it.split].read(it.example, it.key) for it in requests]
        except InputError as error:
            return error
        inputs, target = (zip(*half, strict=True) for half in zip(*examples, strict=True))
        return tuple(map(_stacked, inputs)), tuple(map(_stacked, target))


def _stacked(arrays: Sequence[Any]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays))


class Wanted(Sampler[list[ReadRequest]]):
    """What is asked for, in this order."""

    requests: Iterable[list[ReadRequest]] = ()

    def __init__(self) -> None:
        pass

    def __iter__(self) -> Iterator[list[ReadRequest]]:
        return iter(self.requests)


class WorkerReader:
    """Reads batches in the order in which they are asked for, a few ahead; its workers end with it.

    Args:
        data: Splits that are streamed.
        device: Where the batches go.
        workers: Processes that read; None is what `crew` says.
    """

    def __init__(self, data: Data, device: torch.device, workers: int | None = None):
        self._wanted, self._device = Wanted(), device
        workers = crew(device) if workers is None else workers
        self._loader = DataLoader(
            Examples(data),
            batch_sampler=self._wanted,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
            multiprocessing_context="spawn" if workers else None,
            persistent_workers=bool(workers),
            worker_init_fn=_left_to_us if workers else None,
        )

    def read(self, requests: Iterable[list[ReadRequest]]) -> Iterator[Batch]:
        """The batches asked for, on the device. Ends what was read before.

        Raises:
            InputError: an example cannot be read.
        """
        self._wanted.requests = requests
        with hold_signals():
            batches = iter(self._loader)
        for batch in batches:
            if isinstance(batch, InputError):
                raise InputError(str(batch))  # itself it would hold on to this frame, and so to the reader
            inputs, target = batch
            yield tuple(map(self._placed, inputs)), tuple(map(self._placed, target))

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._device, non_blocking=True)


def _left_to_us(worker: int) -> None:
    """A worker's answer to Ctrl-C, which the terminal sends it, too: none, for its reader ends it in time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _as_it_is(batch: Any) -> Any:
    return batch
