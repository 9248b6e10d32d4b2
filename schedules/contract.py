"""The types of schedules: usable in anybody's training loop, without the rest of Glideslope."""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable


class InputError(ValueError):
    """Something a user gave is wrong. Its message is one line: what was wrong, and what is allowed."""


def digest(text: str, length: int = 12) -> str:
    """First `length` hexadecimal digits of the SHA-256 of `text`: identity of cells, cohorts and plans."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


class Clock(NamedTuple):
    """Where a cell stands in its own budget."""

    step: int  # 0-based index of the update about to be taken
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
    """All that a closed-loop schedule may see; never the test split.

    At an update that loss scaling skips (fp16) there is no gradient: a schedule that needs one isn't asked, and for the
    others its norm is NaN. One that needs the loss isn't asked either if that overflowed.
    """

    loss: float  # training loss of this step's batch, before the update
    grad_norm: float  # Euclidean norm of this step's gradient, before clipping
    control: float | None = None  # last headline metric on the control split, on the cell's own epoch grid
    evaluations: int = 0  # control values there have been; a new one has come when this has grown
    grad_dot: float = 0.0  # this step's gradient times the last step's, before clipping; 0 unless some rider needs it


class Setting(NamedTuple):
    """What a schedule decides for one update."""

    factor: float  # lr = peak_lr * factor
    momentum: float | None = None  # None leaves the optimizer's own


S = TypeVar("S")


@runtime_checkable
class Schedule(Protocol[S]):
    """A Mealy machine. An open-loop schedule (`needs` empty) ignores state and signals.

    `text` is the call a reader would type, and parses back to an equal schedule. `horizon` says what the shape
    hangs on: "none" (no horizon), "relative" (a fraction of the budget) or "absolute" (epochs).
    """

    text: str
    needs: frozenset[str]
    horizon: str

    def init(self) -> S:
        """State before update 0: None or a (nested) tuple of numbers."""

    def __call__(self, state: S, clock: Clock, seen: Signals | None) -> tuple[Setting, S]:
        """Setting for the update at `clock.step`, and the next state. Pure."""
