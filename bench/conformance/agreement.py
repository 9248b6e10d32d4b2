"""How two traces of factors differ. The verdict is computed from the numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Literal, NamedTuple

Kind = Literal["equal", "late", "early", "few", "end", "formula"]

SAME = 1e-12
"""Factors no further apart are equal, unless a library computes in single precision."""

FEW = 5
"""At most so many updates that differ are named one by one."""

SAYS: dict[Kind, str] = {
    "equal": "equal at every update",
    "late": "one or two updates behind ours",
    "early": "one or two updates ahead of ours",
    "few": f"different at {FEW} updates at most",
    "end": "the same fall to another end value",
    "formula": "another formula",
}


class Finding(NamedTuple):
    """How a library's trace differs from ours."""

    kind: Kind
    text: str
    gap: float  # largest difference of the factors
    at: int  # the update that has it
    ours: float  # the factors there
    theirs: float


def judge(ours: Sequence[float], theirs: Sequence[float], same: float = SAME) -> Finding:
    """Compare a library's trace with ours, update by update.

    In this order: equal; equal after a shift by one or two updates; different at few updates; the same share of the
    way from the peak to another end value, (1 - theirs) = c (1 - ours); or another formula. NaN equals nothing.

    >>> judge([1, 0.75, 0.5, 0.25], [0, 1, 0.75, 0.5]).text
    'one update behind ours'
    """
    gaps = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    at = max(range(len(gaps)), key=lambda t: gaps[t] if isfinite(gaps[t]) else float("inf"))
    kind, text = _kind(ours, theirs, [t for t, gap in enumerate(gaps) if not gap <= same], same)
    return Finding(kind, text, gaps[at], at, ours[at], theirs[at])


def _kind(ours: Sequence[float], theirs: Sequence[float], apart: Sequence[int], same: float) -> tuple[Kind, str]:
    if not apart:
        return "equal", "equal"
    for d, many in ((1, "one update"), (2, "two updates")):
        if _close(theirs[d:], ours[:-d], same):
            return "late", f"{many} behind ours"
        if _close(theirs[:-d], ours[d:], same):
            return "early", f"{many} ahead of ours"
    if len(apart) <= FEW:
        return "few", f"different at update{'s' * (len(apart) > 1)} {', '.join(map(str, apart))} only"
    end, aim = theirs[-1], ours[-1]
    if aim < 1 and _close([1 - (1 - f) * (1 - end) / (1 - aim) for f in ours], theirs, same):
        return "end", f"the same fall, to {end:.4g} instead of {aim:.4g} at the last update"
    return "formula", "another formula"


def _close(a: Sequence[float], b: Sequence[float], same: float) -> bool:
    return all(abs(x - y) <= same for x, y in zip(a, b, strict=True))
