"""Numbers of rows that programs are compiled for: few, since each takes seconds to compile."""

from __future__ import annotations

STEP = 32
"""Numbers of rows above this one are its multiples; those below are powers of two."""


def width(members: int) -> int:
    """Number of rows for so many members.

    >>> [width(members) for members in (0, 1, 3, 17, 33, 64, 65)]
    [0, 2, 4, 32, 64, 64, 96]
    """
    if members > STEP:
        return -(-members // STEP) * STEP
    return members and max(2, 1 << (members - 1).bit_length())


def widest(rows: int) -> int:
    """The most members that have no more rows than these, at least 1.

    >>> [widest(rows) for rows in (0, 1, 3, 4, 31, 32, 63, 64)]
    [1, 1, 2, 4, 16, 32, 32, 64]
    """
    return max(1, rows // STEP * STEP or 1 << (rows.bit_length() - 1) if rows else 1)
