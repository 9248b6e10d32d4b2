"""Signals become a flag: the step is finished, a snapshot is written, and the process ends with a stated code."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from types import FrameType

DONE, FAILED = 0, 1
PREEMPTED = 75  # exit code "try again later" (EX_TEMPFAIL in sysexits.h): nothing is lost, run again to continue
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


SAME = 0.25
"""Seconds within which a launcher hands on to its processes a Ctrl-C that the terminal has sent them already."""

STOPPING = (
    "glideslope: stopping: the update is finished and a snapshot is written, then the same command continues; "
    "Ctrl-C again ends at once\n"
)


class Flag:
    """Raised by SIGTERM, SIGINT or SIGUSR1; a second SIGINT ends the process at once.

    That loses what came after the last snapshot and nothing else, as SIGKILL does: the same command continues.

    Args:
        speaks: Whether to say on standard error what a first SIGINT does; one process of a run does.
    """

    def __init__(self, speaks: bool = False) -> None:
        self.signal: signal.Signals | None = None
        self.speaks = speaks
        self._interrupted: float | None = None  # when

    def install(self) -> Flag:
        """Take over the three signals of this process, and let in those that came while `held`."""
        for number in SIGNALS:
            signal.signal(number, self._raise)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return self

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.signal, before = signal.Signals(number), self.signal
        if number != signal.SIGINT:
            return
        now, last = time.monotonic(), self._interrupted
        self._interrupted = now
        if last is not None and not ("LOCAL_RANK" in os.environ and now - last < SAME):
            end_at_once()
        if self.speaks and before is None:
            say(STOPPING)

    def __bool__(self) -> bool:
        return self.signal is not None


def say(line: str) -> None:
    """Write a line to standard error, from a signal's handler too, which may have come into the middle of a print."""
    with contextlib.suppress(OSError):
        os.write(2, line.encode())


def end_at_once() -> None:
    """Leave without tidying up: workers see their pipe close, and what is on the disk is whole at any moment."""
    os._exit(PREEMPTED)


def quiet_start() -> None:
    """Until a `Flag` is installed, Ctrl-C ends this process at once, without a traceback of what it came into."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: end_at_once())


@contextlib.contextmanager
def hold_signals() -> Iterator[None]:
    """Signals wait, for this process and for one that is started here until it installs a `Flag`: none is lost."""
    resource_tracker.ensure_running()  # multiprocessing would start it with the process, and let signals in
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
