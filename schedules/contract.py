"""Types of schedules. They serve in any training loop, without the rest of Glideslope."""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable


class InputError(ValueError):
    """Invalid input from a user. The message is one line: what is wrong, and what is allowed."""


def digest(text: str, length: int = 12) -> str:
    """First `length` hexadecimal digits of the SHA-256 of `text`: the ids of cells, cohorts and plans."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


class Clock(NamedTuple):
    """Position of a cell in its own budget."""

    step: int  # 0-based index of the next update
    total: int  # budget in updates
    epoch_steps: int  # updates per epoch
    peak_lr: float  # the LR that factor 1 stands for

    @property
    def progress(self) -> float:  # share of the budget already spent, in [0, 1)
        return self.step / self.total

    @property
    def epoch(self) -> float:  # epochs already trained
        return self.step / self.epoch_steps


class Signals(NamedTuple):
    """Everything that a closed-loop schedule may see; never the test split.

    At an update that loss scaling skips (fp16) there is no gradient. A schedule that needs one is not called then; the
    others get NaN as its norm. A schedule that needs the loss is not called either if the loss overflowed.
    """

    loss: float  # training loss of this step's batch, before the update
    grad_norm: float  # Euclidean norm of this step's gradient, before clipping
    control: float | None = None  # latest headline metric on the control split, on the cell's own epoch grid
    evaluations: int = 0  # number of control values so far; it grows with each new one
    grad_dot: float = 0.0  # inner product with the last step's gradient, before clipping; 0 unless a rider needs it


class Setting(NamedTuple):
    """Decision of a schedule for one update."""

    factor: float  # lr = peak_lr * factor
    momentum: float | None = None  # None keeps the optimizer's own


S = TypeVar("S")


@runtime_checkable
class Schedule(Protocol[S]):
    """A Mealy machine. An open-loop schedule (`needs` is empty) ignores state and signals.

    `text` is the call a reader would type, and parses back to an equal schedule. `horizon` says what the shape
    depends on: "none" (nothing), "relative" (the fraction of the budget) or "absolute" (epochs).
    """

    text: str
    needs: frozenset[str]
    horizon: str

    def init(self) -> S:
        """State before update 0: None or a (nested) tuple of numbers."""

    def __call__(self, state: S, clock: Clock, signals: Signals | None) -> tuple[Setting, S]:
        """Setting for the update at `clock.step`, and the next state. Pure."""
