"""This machine: its identity, its processes and its CPU cores."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

from bench.contract import digest


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
