"""Numbers as text: as many digits as their interval supports."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from itertools import combinations

from bench.analysis.stats.intervals import Interval, difference

MISSING = "–"


DIGITS = 7
"""Most significant digits of a value that has to be told apart from others."""


def number(mean: float, half: float | None = None, *, signed: bool = False, resolution: float = 0.0) -> str:
    """A mean, and half the width of its interval where there is one.

    The half-width gets one significant digit, two if the first is 1, and the mean the same decimals; alone, the mean
    gets four significant digits. Tiny and huge numbers are written with a power of ten. With `resolution`, the mean
    gets as many digits as show a difference of that size: values so far from each other never read alike.

    >>> number(0.96234, 0.00412), number(0.5, 0.0123), number(-3.1e-5, 2e-6, signed=True), number(0.9583)
    ('0.962 ± 0.004', '0.500 ± 0.012', '(−3.1 ± 0.2)e−5', '0.9583')
    >>> number(0.9712, 0.02), number(0.9712, 0.02, resolution=0.0024), number(0.9688, 0.02, resolution=0.0024)
    ('0.97 ± 0.02', '0.971 ± 0.02', '0.969 ± 0.02')
    """
    size = max(abs(mean), half or 0.0)
    exponent = math.floor(math.log10(size)) if size else 0
    if -4 < exponent < 5:
        return _fixed(mean, half, signed, resolution)
    one = 10.0**exponent
    scaled = _fixed(mean / one, None if half is None else half / one, signed, resolution / one)
    return f"({scaled})e{exponent}".replace("-", "−") if half is not None else f"{scaled}e{exponent}".replace("-", "−")


def _fixed(mean: float, half: float | None, signed: bool, resolution: float) -> str:
    size = max(abs(mean), half or 0.0)
    most = 3 - math.floor(math.log10(size)) if size else 3  # decimals of four significant digits
    decimals = most
    if half:
        digits = f"{half:.0e}"  # rounded first, so that 0.096 counts as 0.1
        decimals = min(most + 2, (digits[0] == "1") - int(digits[2:]))
    decimals = max(0, decimals)
    shown = decimals
    if resolution:  # a little less, as two values that are exactly 1 apart may round to one
        shown = max(decimals, min(most + DIGITS - 4, -math.floor(math.log10(resolution * (1 - 1e-9)))))
    text = f"{mean:{'+' if signed else ''}.{shown}f}".replace("-", "−")
    return text if half is None else f"{text} ± {f'{half:.{decimals}f}' if half else '0'}"


def value(interval: Interval | None, *, signed: bool = False, resolution: float = 0.0) -> str:
    """An interval; `MISSING` without one."""
    return MISSING if interval is None else number(interval.mean, interval.half, signed=signed, resolution=resolution)


def gap(verdicts: Iterable[tuple[float, Hashable]]) -> float:
    """Smallest difference between two values of a column whose verdicts differ: all of them show a digit of it.

    0.0 where no two verdicts differ, or those that do are of equal values.

    >>> round(gap([(0.9712, "best"), (0.9710, "best"), (0.9688, "worse"), (0.95, "worse")]), 4)
    0.0022
    """
    gaps = (abs(difference(a, b)) for (a, one), (b, other) in combinations(verdicts, 2) if one != other)
    return min(filter(None, gaps), default=0.0)


def percent(share: float) -> str:
    """A share in per cent, as in 12.5 %."""
    return f"{100 * share:.4g} %"


def quantity(amount: float, units: str) -> str:
    """An amount of a unit, which is given in the plural.

    >>> quantity(2.5, "epochs"), quantity(1, "epochs"), quantity(1, "strategies")
    ('2.5 epochs', '1 epoch', '1 strategy')
    """
    one = f"{units[:-3]}y" if units.endswith("ies") else units.removesuffix("s")
    return f"{amount:.4g} {one if amount == 1 else units}"


def listed(words: list[str], last: str = "and") -> str:
    """Words as a list in a sentence.

    >>> listed(["cosine", "rex", "wsd"])
    'cosine, rex and wsd'
    """
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
