"""Moves that the cells of a cohort choose at each update, by their schedules. One that fails fails alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench.contract import SKIPPED, Cell, Clock, InputError, Move, Schedule, Signals
from bench.train.outputs import explain
from bench.train.roster import Member
from schedules.schedule import pack, unpack


def missing_signals(loss: float) -> frozenset[str]:
    """Signals that are unknown at an update that loss scaling skips."""
    return frozenset({"grad_norm", "grad_dot"} | (set() if math.isfinite(loss) else {"loss"}))


class Decisions:
    """The schedules of a cohort's cells, with their states.

    Attributes:
        failed: (step, error) of riding cells whose schedule raised an error, or gave no valid factor or momentum.
    """

    def __init__(
        self, cells: Sequence[Cell], schedules: Mapping[str, Schedule[Any]], epoch_steps: int, unsteered: str = ""
    ):
        self.cells, self.epoch_steps = cells, epoch_steps
        self.unsteered = unsteered  # why the cells' optimizer has no momentum to set, if it has none
        self.schedules = [schedules[c.schedule] for c in cells]
        self.closed_loop = {i for i, s in enumerate(self.schedules) if s.needs}
        self.states = [s.init() for s in self.schedules]
        self.failed: dict[int, tuple[int, str]] = {}

    def moves(
        self,
        step: int,
        seats: Iterable[tuple[Member, Sequence[int]]],
        signals: Callable[[], Sequence[tuple[float, float, float]]],
    ) -> dict[int, Move]:
        """The move of each riding cell for the update at `step`.

        Args:
            step: Updates so far.
            seats: Members, each with its riders.
            signals: Gives (loss, gradient norm, grad_dot) of each member. Called only if a closed-loop schedule rides,
                since that synchronises with the device.
        """
        seats = list(seats)
        aboard = {i for _, riders in seats for i in riders}
        signals_M = None if self.closed_loop.isdisjoint(aboard) else signals()
        moves: dict[int, Move] = {}
        for row, (member, riders) in enumerate(seats):
            rider_signals, unknown = None, frozenset[str]()
            if signals_M is not None:
                loss, norm, dot = signals_M[row]  # grad_dot is not every rider's concern, and may be infinite
                skipped = norm == SKIPPED
                if not (skipped or (math.isfinite(loss) and math.isfinite(norm))):
                    # The member diverged. Its riders stay together until the next evaluation records them.
                    moves |= dict.fromkeys(riders, Move(0.0))
                    continue
                unknown = missing_signals(loss) if skipped else unknown
                rider_signals = Signals(loss, math.nan if skipped else norm, member.control, member.evaluations, dot)
            # A schedule whose signals are unknown isn't asked: its cell keeps the LR of the last update.
            resting = {i: Move(member.lr) for i in riders if unknown & self.schedules[i].needs}
            answers = {i: move for i in riders if i not in resting and (move := self.ask(i, step, rider_signals))}
            sound = resting | answers
            # A failed cell follows another rider until the next evaluation records it.
            fallback = next(iter(sound.values()), Move(0.0))
            moves |= dict.fromkeys(riders, fallback) | sound
        return moves

    def ask(self, i: int, step: int, signals: Signals | None) -> Move | None:
        """The next move of cell `i`; None once its schedule has failed."""
        if i in self.failed:
            return None
        cell = self.cells[i]
        clock = Clock(step, cell.total, self.epoch_steps, cell.peak_lr)
        try:
            answer = self.schedules[i](self.states[i], clock, signals if i in self.closed_loop else None)
            (factor, momentum), self.states[i] = answer
            lr = cell.peak_lr * factor
            if not 0 <= lr < math.inf:
                raise InputError(f"the factor {factor}: a factor is finite and not negative")
            if momentum is not None and self.unsteered:
                raise InputError(f"it sets the momentum, {self.unsteered}")
            if momentum is not None and not 0 <= momentum < 1:
                raise InputError(f"the momentum {momentum}: a momentum is a number from 0 to below 1")
        except Exception as error:  # any error of a schedule is a failure of its cell
            self.failed[i] = step, explain(error)
            return None
        return Move(lr, momentum)

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        failed = [[i, *failure] for i, failure in self.failed.items()]
        return {"states": [pack(state) for state in self.states], "failed": failed}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        packed_states = zip(self.schedules, state["states"], strict=True)
        self.states = [unpack(schedule.init(), packed) for schedule, packed in packed_states]
        self.failed = {i: (step, error) for i, step, error in state["failed"]}
