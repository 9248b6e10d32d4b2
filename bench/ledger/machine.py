"""This machine: its identity, its CPU cores, and which of its processes live."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

from bench.contract import digest


@cache
def machine() -> str:
    """What numbers of processes and locks mean something within: this boot, container and user."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return digest(f"{boot} {Path('/proc/self/ns/pid').readlink()} {os.getuid()}")
    except OSError:  # not Linux
        return digest(f"{socket.gethostname()} {os.getuid()}")


def started(process: int) -> str | None:
    """When a process of this machine was started, in ticks since its boot; None of one that has ended."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]


def processors() -> int:
    """CPU cores that the system lets this process use; all of them where it keeps no list, as macOS."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
