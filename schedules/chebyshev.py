"""Step sizes from the roots of Chebyshev polynomials."""

from __future__ import annotations

from math import pi, sin
from typing import Annotated, Literal

from schedules.arguments import Range
from schedules.schedule import schedule

Levels = Annotated[int, Range(0, 30, "[]")]
Condition = Annotated[float, Range(1, 1e9, "[]")]


@schedule(paper="arXiv:2103.01338 and arXiv:2010.13335, as in pytorch_optimizer and Ranger21")
def chebyshev(
    progress: float,
    *,
    levels: Levels = 3,
    condition: Condition = 20.0,
    order: Literal["fractal", "falling"] = "fractal",
) -> float:
    r"""Chebyshev steps: the set of rates that is optimal, as a set, for a quadratic of that `condition` number.

    The budget is cut into n = 2^`levels` equal pieces of constant LR. With x = progress in [0, 1), j = floor(n x) and
    k = `condition`,

        factor(x) = 2 / (k + 1 - (k - 1) cos(pi (s(j) + 1/2) / n))
        s(j)      = s_n(j), the fractal order: s_1 = [0], s_2n = [a, 2n - 1 - a for each a of s_n], or j, falling

    Formula and order follow the libraries' code, which names the papers; the papers were not available. The peak is the
    upper bound of these rates, 1/m in the libraries, whose base LR is the rate 1/M; k = M/m. pytorch_scheduler's
    Chebyshev is another formula: cosine annealing, half an update ahead.

    >>> [round(f, 4) for f in chebyshev(levels=2).at(0, 0.25, 0.5, 0.75)]
    [0.5803, 0.0519, 0.1457, 0.0707]
    """
    n = 2**levels
    j = int(progress * n)
    angle = pi * ((_fractal(j, n) if order == "fractal" else j) + 0.5) / n
    return 1 / (1 + (condition - 1) * sin(angle / 2) ** 2)


def _fractal(j: int, n: int) -> int:
    """Entry j of the fractal order of n steps, n a power of two."""
    if n == 1:
        return 0
    entry = _fractal(j // 2, n // 2)
    return n - 1 - entry if j % 2 else entry
