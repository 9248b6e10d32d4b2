"""Differences of two traces of factors. The verdict is computed from the numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Literal, NamedTuple

Kind = Literal["equal", "late", "early", "few", "end", "formula"]

SAME = 1e-12
"""Largest difference of equal factors, unless a library computes in single precision."""

FEW = 5
"""Largest number of differing updates that are listed one by one."""

VERDICTS: dict[Kind, str] = {
    "equal": "equal at every update",
    "late": "one or two updates behind ours",
    "early": "one or two updates ahead of ours",
    "few": f"different at {FEW} updates at most",
    "end": "the same fall to another end value",
    "formula": "another formula",
}


class Finding(NamedTuple):
    """Difference of a library's trace from ours."""

    kind: Kind
    text: str
    gap: float  # largest difference of the factors
    at: int  # update of the largest difference
    own: float  # our factor at that update
    other: float  # the library's factor at that update


def judge(own: Sequence[float], other: Sequence[float], same: float = SAME) -> Finding:
    """Compare a library's trace with ours, update by update.

    The first verdict that applies: equal; equal after a shift by one or two updates; different at few updates; the same
    share of the way from the peak to another end value, (1 - other) = c (1 - own); another formula. NaN equals nothing.

    >>> judge([1, 0.75, 0.5, 0.25], [0, 1, 0.75, 0.5]).text
    'one update behind ours'
    """
    gaps = [abs(a - b) for a, b in zip(own, other, strict=True)]
    at = max(range(len(gaps)), key=lambda t: gaps[t] if isfinite(gaps[t]) else float("inf"))
    differing = [t for t, gap in enumerate(gaps) if not gap <= same]  # a NaN differs, too
    kind, text = _kind(own, other, differing, same)
    return Finding(kind, text, gaps[at], at, own[at], other[at])


def _kind(own: Sequence[float], other: Sequence[float], differing: Sequence[int], same: float) -> tuple[Kind, str]:
    if not differing:
        return "equal", "equal"
    for d, many in ((1, "one update"), (2, "two updates")):
        if _close(other[d:], own[:-d], same):
            return "late", f"{many} behind ours"
        if _close(other[:-d], own[d:], same):
            return "early", f"{many} ahead of ours"
    if len(differing) <= FEW:
        return "few", f"different at update{'s' * (len(differing) > 1)} {', '.join(map(str, differing))} only"
    end, aim = other[-1], own[-1]
    if aim < 1 and _close([1 - (1 - f) * (1 - end) / (1 - aim) for f in own], other, same):
        return "end", f"the same fall, to {end:.4g} instead of {aim:.4g} at the last update"
    return "formula", "another formula"


def _close(a: Sequence[float], b: Sequence[float], same: float) -> bool:
    return all(abs(x - y) <= same for x, y in zip(a, b, strict=True))
