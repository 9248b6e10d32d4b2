"""What the cells of a cohort want at each update: their schedules are asked, and one that fails fails alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench.contract import SKIPPED, Cell, Clock, InputError, Move, Schedule, Signals
from bench.train.outputs import explain
from bench.train.roster import Member
from schedules.schedule import pack, unpack


def overflowed(loss: float) -> frozenset[str]:
    """What no schedule can be told at an update that loss scaling skips."""
    return frozenset({"grad_norm", "grad_dot"} | (set() if math.isfinite(loss) else {"loss"}))


class Decisions:
    """The schedules of a cohort's cells, and where they stand.

    Attributes:
        failed: Riding cells whose schedule raised an error, or gave no valid factor or momentum: at which update,
            and what it was.
    """

    def __init__(
        self, cells: Sequence[Cell], schedules: Mapping[str, Schedule[Any]], epoch_steps: int, unsteered: str = ""
    ):
        self.cells, self.epoch_steps = cells, epoch_steps
        self.unsteered = unsteered  # why the cells' optimizer has no momentum to set, if it has none
        self.schedules = [schedules[c.schedule] for c in cells]
        self.closed = {i for i, s in enumerate(self.schedules) if s.needs}
        self.states = [s.init() for s in self.schedules]
        self.failed: dict[int, tuple[int, str]] = {}

    def moves(
        self,
        step: int,
        seats: Iterable[tuple[Member, Sequence[int]]],
        signals: Callable[[], Sequence[tuple[float, float, float]]],
    ) -> dict[int, Move]:
        """The move of each riding cell for the update at `step`; `seats` are members with their riders."""
        seats = list(seats)
        watching = any(i in self.closed for _, riders in seats for i in riders)
        seen_M = signals() if watching else None  # synchronises with the device, so only when needed
        moves: dict[int, Move] = {}
        for row, (member, riders) in enumerate(seats):
            seen, unknown = None, frozenset[str]()
            if seen_M is not None:
                loss, norm, dot = seen_M[row]  # grad_dot is not every rider's concern, and may be infinite
                skipped = norm == SKIPPED
                if not (skipped or (math.isfinite(loss) and math.isfinite(norm))):
                    # Diverged: carried along, together, until the next evaluation records it.
                    moves |= dict.fromkeys(riders, Move(0.0))
                    continue
                unknown = overflowed(loss) if skipped else unknown
                seen = Signals(loss, math.nan if skipped else norm, member.control, member.evaluations, dot)
            resting = {i: Move(member.lr) for i in riders if unknown & self.schedules[i].needs}  # as at the last update
            asked = {i: move for i in riders if i not in resting and (move := self.ask(i, step, seen))}
            sound = resting | asked
            follow = next(iter(sound.values()), Move(0.0))  # a failed cell goes along until the next evaluation, too
            moves |= dict.fromkeys(riders, follow) | sound
        return moves

    def ask(self, i: int, step: int, seen: Signals | None) -> Move | None:
        """What cell `i` wants next; None once its schedule has failed."""
        if i in self.failed:
            return None
        cell = self.cells[i]
        clock = Clock(step, cell.total, self.epoch_steps, cell.peak_lr)
        try:
            answer = self.schedules[i](self.states[i], clock, seen if i in self.closed else None)
            (factor, momentum), self.states[i] = answer
            lr = cell.peak_lr * factor
            if not 0 <= lr < math.inf:
                raise InputError(f"the factor {factor}: a factor is finite and not negative")
            if momentum is not None and self.unsteered:
                raise InputError(f"it sets the momentum, {self.unsteered}")
            if momentum is not None and not 0 <= momentum < 1:
                raise InputError(f"the momentum {momentum}: a momentum is a number from 0 to below 1")
        except Exception as error:  # whatever a schedule raises is the failure of its cell
            self.failed[i] = step, explain(error)
            return None
        return Move(lr, momentum)

    def state(self) -> dict[str, Any]:
        """What a snapshot needs."""
        failed = [[i, *failure] for i, failure in self.failed.items()]
        return {"states": [pack(state) for state in self.states], "failed": failed}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        packed = zip(self.schedules, state["states"], strict=True)
        self.states = [unpack(s.init(), it) for s, it in packed]
        self.failed = {i: (step, error) for i, step, error in state["failed"]}
