"""A constant LR: the baseline of every decay."""

from __future__ import annotations

from schedules.schedule import schedule


@schedule(paper="none: the null hypothesis")
def constant() -> float:
    r"""Hold the peak to the end.

        factor = 1

    >>> constant().at(0, 0.5, 0.99)
    (1.0, 1.0, 1.0)
    """
    return 1.0
