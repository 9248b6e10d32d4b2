"""Signals become a flag: the step is finished, a snapshot is written, and the process ends with a stated code."""

from __future__ import annotations

import signal
from types import FrameType

DONE, FAILED = 0, 1
PREEMPTED = 75  # exit code "try again later" (EX_TEMPFAIL in sysexits.h): nothing is lost, run again to continue
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Flag:
    """Raised by SIGTERM, SIGINT or SIGUSR1; a second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def install(self) -> Flag:
        """Take over the three signals of this process."""
        for number in SIGNALS:
            signal.signal(number, self._raise)
        return self

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def __bool__(self) -> bool:
        return self.signal is not None
