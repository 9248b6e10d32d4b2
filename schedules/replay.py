"""The schedulers behind the borrowed schedules of cells in training: each goes forward once, step by step."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any, TypeAlias

from schedules.contract import Clock, Setting

Key: TypeAlias = tuple[Any, Clock]  # a machine with `settled(clock)`, and the clock of a cell at update 0
WINDOW, ENDED = 256, 256


class Replay:
    """A scheduler of one cell, which goes forward only, and the settings that it left last."""

    def __init__(self, machine: Any, begin: Clock):
        self.machine, self.begin = machine, begin
        self.rewind()

    def rewind(self) -> None:
        self.rest, self.reached = self.machine.settled(self.begin), -1
        self.window: deque[Setting] = deque(maxlen=WINDOW)

    def setting(self, step: int) -> Setting:
        if step <= self.reached - len(self.window):
            self.rewind()
        while self.reached < step:
            self.window.append(next(self.rest))
            self.reached += 1
        return self.window[step - self.reached - 1]


class Replays:
    """The replays of all cells that train: as many as there are, so that none waits for another's place.

    One that has come to its end leaves its scheduler, and is one of the last few that are kept.
    """

    def __init__(self) -> None:
        self.running: dict[Key, Replay] = {}
        self.ended: OrderedDict[Key, Replay] = OrderedDict()

    def setting(self, machine: Any, clock: Clock) -> Setting:
        key = machine, clock._replace(step=0)
        replay = self.running.get(key) or self.ended.pop(key, None) or Replay(*key)
        self.running[key] = replay
        setting = replay.setting(clock.step)
        if replay.reached == clock.total - 1:
            self.ended[key] = self.running.pop(key)
            if len(self.ended) > ENDED:
                self.ended.popitem(last=False)
        return setting


REPLAYS = Replays()
