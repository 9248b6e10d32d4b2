"""Exchange of small values among the processes of a run at its start, without a group of torch.distributed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from bench.contract import InputError

PATIENCE = 1800.0
"""Seconds that a process waits for the others."""


def store(rank: int, size: int) -> Any:
    """The store at MASTER_ADDR and MASTER_PORT, served by torchrun or else by the first process.

    Raises:
        InputError: it cannot be reached.
    """
    from torch.distributed.rendezvous import rendezvous

    for name, usual in {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 29500}.items():
        os.environ.setdefault(name, str(usual))  # as Accelerate does for MPI processes
    try:
        return next(iter(rendezvous("env://", timeout=timedelta(seconds=PATIENCE))))[0]
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"process {rank} of {size} does not find the others at {_place()}: {reason}") from None


def exchange(
    store: Any, rank: int, size: int, name: str, own: Any, *, stop: Callable[[], bool] = lambda: False
) -> list[Any]:
    """Values that the processes set under a name, by rank.

    Polls instead of blocking, so that signals are handled. The first process, which may serve the store, returns
    when all have read.

    Raises:
        InterruptedError: `stop` came true while this process waited.
        InputError: some processes set no value in time, or the store is gone.
    """
    try:
        store.set(f"{name}/{rank}", json.dumps(own))
        values = _await(store, size, name, stop)
        store.set(f"{name}/read/{rank}", "1")
        if rank == 0:
            _await(store, size, f"{name}/read", stop)
    except RuntimeError:
        raise InputError(f"process {rank} of {size} has lost the others at {_place()}") from None
    return [json.loads(value) for value in values]


def _await(store: Any, size: int, name: str, stop: Callable[[], bool]) -> list[Any]:
    keys, ends = [f"{name}/{i}" for i in range(size)], time.monotonic() + PATIENCE
    while not store.check(keys):
        if time.monotonic() > ends:
            missing = [i for i, key in enumerate(keys) if not store.check([key])]
            raise InputError(f"processes {missing} of {size} have not come as far as others for {PATIENCE / 60:g} min")
        if stop():
            raise InterruptedError
        time.sleep(0.05)
    return [store.get(key) for key in keys]


def _place() -> str:
    return f"MASTER_ADDR={os.environ['MASTER_ADDR']}, MASTER_PORT={os.environ['MASTER_PORT']}"
