"""Assignment of cells to the members they ride. Pure bookkeeping: no torch, no training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from bench.contract import Move


class Best(NamedTuple):
    """The epoch with the best control value so far; `test` is read there, never maximised over."""

    step: int
    control: float
    test: float


class Member(NamedTuple):
    """Record of a member, except for its weights."""

    segment: int
    parent: int | None = None  # segment it was forked from, before update `start`
    start: int = 0
    lr: float = 0.0  # of its last update
    control: float | None = None  # headline metric on the control split, on the epoch grid
    evaluations: int = 0
    bests: Mapping[str, Best] = MappingProxyType({})  # on the epoch grid; of its averages by track, its own by ""

    def best(self, track: str, now: Best, direction: str) -> Best:
        """The best epoch of a track, this one included; the earlier one of two equals."""
        sign, before = (1.0 if direction == "max" else -1.0), self.bests.get(track)
        return before if before is not None and sign * before.control >= sign * now.control else now


@dataclass(frozen=True)
class Roster:
    """`riders[row]` are the cells (by their index in the cohort) that ride member `row`.

    Every cell that is still training rides exactly one row, and rows never merge.
    """

    riders: tuple[tuple[int, ...], ...]

    @classmethod
    def initial(cls, cells: int) -> Roster:
        """All cells on one member, as at step 0."""
        return cls((tuple(range(cells)),) if cells else ())

    def seat(self, moves: Mapping[int, Move]) -> tuple[Roster, list[int], list[Move]]:
        """Separate riders who disagree: (new roster, old row of each new row, move of each new row).

        New rows are ordered by their old row, then by their first rider, so the result is deterministic.

        >>> Roster.initial(3).seat({0: Move(0.1), 1: Move(0.2), 2: Move(0.1)})
        (Roster(riders=((0, 2), (1,))), [0, 0], [Move(lr=0.1, momentum=None), Move(lr=0.2, momentum=None)])
        """
        riders: list[tuple[int, ...]] = []
        rows: list[int] = []
        settled: list[Move] = []
        for row, aboard in enumerate(self.riders):
            parties: dict[Move, list[int]] = {}
            for cell in aboard:
                parties.setdefault(moves[cell], []).append(cell)
            for move, party in parties.items():
                riders.append(tuple(party))
                rows.append(row)
                settled.append(move)
        return (self if len(rows) == len(self.riders) else Roster(tuple(riders))), rows, settled

    def leave(self, cells: Collection[int]) -> tuple[Roster, list[int]]:
        """Remove cells: (new roster, old row of each new row). A row whose last rider leaves is removed, too."""
        remaining = [tuple(c for c in aboard if c not in cells) for aboard in self.riders]
        rows = [row for row, aboard in enumerate(remaining) if aboard]
        return Roster(tuple(remaining[row] for row in rows)), rows
