"""Files that survive crashes: written completely or not at all, with one error for a full disk."""

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
    """The disk is full. No recorded row is lost, and the same command continues."""


def full(error: BaseException) -> bool:
    """True if an error means that the disk or a quota is full."""
    return isinstance(error, FullError) or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT))


class _File(io.FileIO):
    """Remembers why a write failed, because libraries that write to it may raise another error."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            raise


def folder(path: Path) -> None:
    """Create a folder and its parents so that they survive a crash.

    The creator of an existing folder may have been killed before it flushed the entry to the disk. So an existing
    folder's entry is flushed again, and its parent's.
    """
    if not path.is_dir():
        folder(path.parent)
        path.mkdir(exist_ok=True)
        settle(path.parent)
        return
    for above in (path.parent, path.parent.parent):
        with contextlib.suppress(PermissionError):  # a run did not create folders that it cannot read
            settle(above)


def settle(path: Path) -> None:
    """Flush the entries of a folder to the disk, so that files created or renamed in it survive a crash."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: under a unique temporary name, flushed to the disk, then renamed to `path`."""
    folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    raw = _File(temporary, "w")
    try:
        with io.BufferedWriter(raw) as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        if raw.error is not None:
            raise raw.error from None
        raise
    settle(path.parent)


def sweep(path: Path) -> None:
    """Remove the temporary files of writes of `path` that were killed."""
    for temporary in path.parent.glob(f".{path.name}.*"):
        temporary.unlink(missing_ok=True)
