"""What it takes for a file to be there after a crash, whole; and what to say when there is no room for it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


class FullError(Exception):
    """There is no room on the disk. Nothing that was recorded is lost, and the same command continues."""


def full(error: BaseException) -> bool:
    """Whether there was no room on the disk, or none left of a quota."""
    return isinstance(error, FullError) or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT))


class _File(io.FileIO):
    """Remembers why a write failed: who writes through layers of others may hear of something else."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            raise


def folder(path: Path) -> None:
    """Make a folder, with those above it, so that what is written into it can be found after a crash.

    One that is there may have been made by a process that was killed before it brought that to the disk, so it and the
    one above it are brought there again.
    """
    if not path.is_dir():
        folder(path.parent)
        path.mkdir(exist_ok=True)
        settle(path.parent)
        return
    for above in (path.parent, path.parent.parent):
        with contextlib.suppress(PermissionError):  # what may not be read was not made by a run
            settle(above)


def settle(path: Path) -> None:
    """Bring the entries of a folder to the disk: what was made or renamed in it survives from here on."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: aside, under a name that no other process has, to the disk, then over the old one."""
    folder(path.parent)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    raw = _File(aside, "w")
    try:
        with io.BufferedWriter(raw) as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        if raw.error is not None:
            raise raw.error from None
        raise
    settle(path.parent)


def sweep(path: Path) -> None:
    """Remove what writes of `path` left aside when they were killed."""
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)
