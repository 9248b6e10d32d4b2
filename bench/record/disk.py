"""What it takes for a file to be there after a crash, whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO


def folder(path: Path) -> None:
    """Make a folder, with those above it, so that what is written into it can be found after a crash."""
    if path.is_dir():
        return
    folder(path.parent)
    path.mkdir(exist_ok=True)
    settle(path.parent)


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
    try:
        with aside.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    settle(path.parent)


def sweep(path: Path) -> None:
    """Remove what writes of `path` left aside when they were killed."""
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)
