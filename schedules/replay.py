"""Schedulers of other libraries, stepped forward once for each cell that trains, with their latest settings."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any, TypeAlias

from schedules.contract import Clock, Setting

Key: TypeAlias = tuple[Any, Clock]  # a machine with `trace(clock)`, and the clock of a cell at update 0
WINDOW, ENDED = 256, 256


class Replay:
    """The scheduler of one cell, which only goes forward, and a window of its latest settings."""

    def __init__(self, machine: Any, begin: Clock):
        self.machine, self.begin = machine, begin
        self.rewind()

    def rewind(self) -> None:
        self.trace, self.position = self.machine.trace(self.begin), -1
        self.window: deque[Setting] = deque(maxlen=WINDOW)

    def setting(self, step: int) -> Setting:
        if step <= self.position - len(self.window):
            self.rewind()
        while self.position < step:
            self.window.append(next(self.trace))
            self.position += 1
        return self.window[step - self.position - 1]


class Replays:
    """Replays of all cells that train, without a limit, and of the last few cells (`ENDED`) that have ended."""

    def __init__(self) -> None:
        self.running: dict[Key, Replay] = {}
        self.ended: OrderedDict[Key, Replay] = OrderedDict()

    def setting(self, machine: Any, clock: Clock) -> Setting:
        key = machine, clock._replace(step=0)
        replay = self.running.get(key) or self.ended.pop(key, None) or Replay(*key)
        self.running[key] = replay
        setting = replay.setting(clock.step)
        if replay.position == clock.total - 1:
            self.ended[key] = self.running.pop(key)
            if len(self.ended) > ENDED:
                self.ended.popitem(last=False)
        return setting


REPLAYS = Replays()
