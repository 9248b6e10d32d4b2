"""This machine: its identity, its processes and its CPU cores."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from bench.contract import InputError, digest

LARGEST = 10**18  # of a variable, more than any count or id


@cache
def machine() -> str:
    """Digest of this boot, container and user: within them, process numbers and file locks are valid."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return digest(f"{boot} {Path('/proc/self/ns/pid').readlink()} {os.getuid()}")
    except OSError:  # not Linux
        return digest(f"{socket.gethostname()} {os.getuid()}")


def started(process: int) -> str | None:
    """Start time of a process of this machine, in ticks since boot; None if it has ended."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]


def processors() -> int:
    """Number of CPU cores that this process may use; all of them on systems without affinity, such as macOS."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def variable(name: str, usual: int, least: int = 0, environment: Mapping[str, str] | None = None) -> int:
    """A whole number that an environment variable sets; the usual one where it is not set.

    Raises:
        InputError: it is set to something else, or to less than `least`.
    """
    text = (os.environ if environment is None else environment).get(name)
    if text is None:
        return usual
    try:
        number = int(text) if len(text) <= len(str(LARGEST)) else LARGEST + 1  # int() refuses thousands of digits
    except ValueError:
        number = least - 1
    if not least <= number <= LARGEST:
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        raise InputError(f"{name} is {shown!r}: it should be a whole number, {least} or more")
    return number
