"""One atomic file per cohort holds all of its state: it is there whole, or the previous one is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from bench.contract import InputError


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: aside, to the disk, then over the old one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename, too, has to survive
    finally:
        os.close(folder)


def sweep(path: Path) -> None:
    """Remove what writes of `path` left aside when they were killed. Nobody else may be writing it."""
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink()


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a snapshot of tensors, numbers, texts, lists and dicts of these."""
    import torch

    write(path, lambda file: torch.save(state, file))


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
