"""One atomic file per cohort holds all of its state: it is there whole, or the previous one is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.ledger import atomic


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a snapshot of tensors, numbers, texts, lists and dicts of these."""
    import torch

    atomic.write(path, lambda file: torch.save(state, file))


REST = 20
"""Times as long as training stood still for a snapshot, it goes on before the next: a twentieth of the time at most."""


class CheckpointWriter:
    """Writes snapshots beside the training, never two at once; what went wrong is raised by the next call."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._rested = 0.0  # when the next may begin

    @property
    def ready(self) -> bool:
        """Whether a snapshot would cost little now: none is being written, and training has gone on for a while."""
        return not (self._thread and self._thread.is_alive()) and time.monotonic() >= self._rested

    def save(self, path: Path, copied: Callable[[], dict[str, Any]]) -> None:
        """Begin to write a snapshot of a state, which is not to change once it is given; waits for the one before."""
        self.wait()
        begun = time.monotonic()
        state = copied()
        self._rested = (now := time.monotonic()) + REST * (now - begun)
        self._thread = threading.Thread(target=self._write, args=(path, state))  # not a daemon: an exit waits for it
        self._thread.start()

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        try:
            save(path, state)
        except BaseException as error:
            self._error = error

    def wait(self) -> None:
        """The last snapshot is on the disk when this returns.

        Raises:
            BaseException: what stopped it.
        """
        if self._thread is not None:
            self._thread.join()
        self._thread, error, self._error = None, self._error, None
        if error is not None:
            raise error


def load(path: Path) -> dict[str, Any] | None:
    """The state that was saved, or None without a snapshot. Never runs code from the file.

    Raises:
        InputError: the file cannot be read as a snapshot.
    """
    import torch

    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is damaged ({reason[:80]}); delete it to train its cohort anew") from None
    return state
