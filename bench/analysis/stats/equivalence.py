"""Differences against the smallest one worth having: the word for an interval, and the seeds that would decide."""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal

from bench.analysis.stats.power import POWER, power

MOST = 10_000
"""Largest number of seeds that is looked at."""

LARGE = 100.0
"""Shift from which on any number of seeds will do; scipy's noncentral t knows no noncentrality of millions."""

Decision = Literal["better", "worse", "equal", "undecided"]


def decide(low: float, high: float, margin: float | None) -> Decision:
    """Word for a 95 % interval of a difference that is above 0 where better.

    It is equal where the whole interval lies within (-margin, margin): two one-sided tests of 2.5 % each (Schuirmann
    1987, doi:10.1007/BF01068419). This is looked at first: a difference that is sure, but not worth having, is equal.
    Without a margin nothing is equal.

    >>> decide(0.1, 0.3, 0.5), decide(0.1, 0.6, 0.5), decide(-0.1, 0.6, 0.5)
    ('equal', 'better', 'undecided')
    """
    if margin is not None and -margin < low and high < margin:
        return "equal"
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def seeds_to_decide(mean: float, deviation: float, margin: float | None) -> int:
    """Fewest seeds, 2 to `MOST`, with which `decide` finds a word with 80 % power; `MOST` also stands for more.

    `mean` and `deviation` are those of the differences paired by seed, and taken for true. With P(x) the power of the
    rule of comparison for a difference of x, the interval of a mean m excludes 0 with P(|m|), and lies within the
    margin with at least P(margin - |m|) + P(margin + |m|) - 1, as both one-sided tests must reject. The larger of the
    two is to reach 80 %.

    >>> seeds_to_decide(0.5, 1.0, None), seeds_to_decide(0.0, 1.0, 0.5)
    (34, 44)
    """
    if deviation == 0:
        return 2

    def sure(shift: float, n: int) -> float:
        return float(power(max(-LARGE, min(shift / deviation, LARGE)), n))

    def enough(n: int) -> bool:
        equal = 0.0 if margin is None else sure(margin - abs(mean), n) + sure(margin + abs(mean), n) - 1
        return max(sure(abs(mean), n), equal) >= POWER

    return 2 + bisect_left(range(2, MOST), True, key=enough)
