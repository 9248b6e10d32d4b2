"""Words that the processes of a run tell each other at its beginning, without a group of torch.distributed."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from typing import Any

from bench.contract import InputError

PATIENCE = 1800.0
"""Seconds in which the processes of a run have to find each other."""


def store(rank: int, size: int) -> Any:
    """The store at MASTER_ADDR and MASTER_PORT, which torchrun keeps, or else the first process.

    Raises:
        InputError: it cannot be reached.
    """
    from torch.distributed.rendezvous import rendezvous

    for name, usual in {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 29500}.items():
        os.environ.setdefault(name, str(usual))  # as Accelerate does for processes of MPI
    try:
        return next(iter(rendezvous("env://", timeout=timedelta(seconds=PATIENCE))))[0]
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"process {rank} of {size} does not find the others at {_place()}: {reason}") from None


def told(store: Any, rank: int, size: int, name: str, own: Any) -> list[Any]:
    """What each process tells under a name, by rank.

    Asks again and again instead of waiting, so that a signal is heard. The first, which may keep the store, stays
    until all have read.

    Raises:
        InputError: some have told nothing for too long, or the store is gone.
    """
    try:
        store.set(f"{name}/{rank}", json.dumps(own))
        words = _await(store, size, name)
        store.set(f"{name}/read/{rank}", "1")
        if rank == 0:
            _await(store, size, f"{name}/read")
    except RuntimeError:
        raise InputError(f"process {rank} of {size} has lost the others at {_place()}") from None
    return [json.loads(word) for word in words]


def _await(store: Any, size: int, name: str) -> list[Any]:
    keys, ends = [f"{name}/{i}" for i in range(size)], time.monotonic() + PATIENCE
    while not store.check(keys):
        if time.monotonic() > ends:
            missing = [i for i, key in enumerate(keys) if not store.check([key])]
            raise InputError(f"processes {missing} of {size} have not come as far as others for {PATIENCE / 60:g} min")
        time.sleep(0.05)
    return [store.get(key) for key in keys]


def _place() -> str:
    return f"MASTER_ADDR={os.environ['MASTER_ADDR']}, MASTER_PORT={os.environ['MASTER_PORT']}"
