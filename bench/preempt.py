"""Signals that stop a run: a flag is raised, the update is finished, and a checkpoint is written before the end."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import NoReturn

DONE, FAILED = 0, 1
PREEMPTED = 75  # exit code "try again later" (EX_TEMPFAIL in sysexits.h): nothing is lost, run again to continue
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

SAFE_PATH = "PYTHONSAFEPATH"
"""Variable that keeps the working folder off the path of a Python that is started with `-c` or `-m`."""

DUPLICATE_WINDOW = 0.25
"""Seconds within which a launcher forwards a Ctrl-C to processes that have received it from the terminal already."""

STOPPING = (
    "glideslope: stopping: the update is finished and a snapshot is written, then the same command continues; "
    "Ctrl-C again ends at once\n"
)


class Flag:
    """A flag that SIGTERM, SIGINT or SIGUSR1 raises; a second SIGINT ends the process at once.

    Like SIGKILL, that loses the updates since the last checkpoint and nothing else: the same command continues.

    Args:
        speaks: Print on standard error what a first SIGINT does; one process of a run does so.
        last: Called by a second SIGINT in place of ending the process.
    """

    def __init__(self, speaks: bool = False, last: Callable[[], object] | None = None) -> None:
        self.signal: signal.Signals | None = None
        self.speaks, self.last = speaks, last
        self._interrupt_time: float | None = None  # of the last SIGINT

    def install(self) -> Flag:
        """Handle the three signals of this process, including those that `hold_signals` has held back.

        Only the main thread can; in another one, signals go to the caller's handlers.
        """
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._raise)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return self

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.signal, before = signal.Signals(number), self.signal
        if number != signal.SIGINT:
            return
        now, last = time.monotonic(), self._interrupt_time
        self._interrupt_time = now
        if last is not None and not ("LOCAL_RANK" in os.environ and now - last < DUPLICATE_WINDOW):
            (self.last or end_at_once)()
        if self.speaks and before is None:
            say(STOPPING)

    def __bool__(self) -> bool:
        return self.signal is not None


def say(line: str) -> None:
    """Write a line to standard error. A signal handler may call this, even in the middle of a print."""
    with contextlib.suppress(OSError):
        os.write(2, line.encode())


def end_at_once() -> None:
    """End this process without cleaning up. Workers see their pipe close, and files are complete at any moment."""
    os._exit(PREEMPTED)


def leave(code: int) -> NoReturn:
    """End this process, at the end of a program.

    One that is a rank of a group of torch.distributed does all that Python does at an exit, but for taking itself down:
    threads of the group outlive what they use, and now and then one of them aborts a rank that has done its work.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        sys.exit(code)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def quiet_start() -> None:
    """Make Ctrl-C end this process at once and without a traceback, until a `Flag` is installed."""
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _interrupt):
        signal.signal(signal.SIGINT, _end)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """After `quiet_start`, make Ctrl-C a KeyboardInterrupt, for work that cleans up; during imports it ends at once.

    An import that is interrupted in the middle may raise anything, or print it.
    """
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _interrupt:
            signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    end_at_once()


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            end_at_once()
        frame = frame.f_back
    raise KeyboardInterrupt


@contextlib.contextmanager
def spawning() -> Iterator[None]:
    """Start processes inside: signals are held back, and a process imports no file of its caller's.

    Otherwise it would import the caller's script first, and a script that calls `bench.run` at its top level would run
    once more in each; and a file queue.py in the working folder would take the place of the standard module.
    """
    script, safe = sys.modules["__main__"], os.environ.get(SAFE_PATH)
    with hold_signals():
        sys.modules["__main__"] = ModuleType("__main__")
        os.environ[SAFE_PATH] = "1"
        try:
            yield
        finally:
            sys.modules["__main__"] = script
            if safe is None:
                del os.environ[SAFE_PATH]
            else:
                os.environ[SAFE_PATH] = safe


@contextlib.contextmanager
def hold_signals() -> Iterator[None]:
    """Hold back signals to this process, and to a process started inside until it installs a `Flag`. None is lost."""
    from multiprocessing import resource_tracker  # late: the entry points import this file before all others

    resource_tracker.ensure_running()  # otherwise started with the process, which would unblock signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
