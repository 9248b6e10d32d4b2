"""Checkpoints: one file per cohort with its whole state, written atomically."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.ledger import atomic


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint: tensors, numbers, texts, and lists and dicts of these."""
    import torch

    atomic.write(path, lambda file: torch.save(state, file))


REST = 20
"""Training time before the next checkpoint, per time that training waited for the last: it waits 5 % at most."""


class CheckpointWriter:
    """Writes checkpoints in a thread, one at a time, while training continues. An error is raised by the next call."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._earliest = 0.0  # time of the next checkpoint

    @property
    def ready(self) -> bool:
        """True if a checkpoint is cheap now: none is being written, and training has continued for a while."""
        return not (self._thread and self._thread.is_alive()) and time.monotonic() >= self._earliest

    def save(self, path: Path, copy: Callable[[], dict[str, Any]]) -> None:
        """Start writing a checkpoint after the last one is written. `copy` gives a state that does not change later."""
        self.wait()
        start = time.monotonic()
        state = copy()
        now = time.monotonic()
        self._earliest = now + REST * (now - start)
        self._thread = threading.Thread(target=self._write, args=(path, state))  # not a daemon: an exit waits for it
        self._thread.start()

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        try:
            save(path, state)
        except BaseException as error:
            self._error = error

    def wait(self) -> None:
        """Wait until the last checkpoint is on the disk.

        Raises:
            BaseException: the error of the writing thread.
        """
        if self._thread is not None:
            self._thread.join()
        self._thread, error, self._error = None, self._error, None
        if error is not None:
            raise error


def load(path: Path) -> dict[str, Any] | None:
    """The saved state; None if there is no checkpoint. Never runs code from the file.

    Raises:
        InputError: the file is no checkpoint, or damaged.
    """
    import torch

    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is damaged ({reason[:80]}); delete it to train its cohort again") from None
    return state
