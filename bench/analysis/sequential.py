"""Looks at a run whose seeds are added in steps: which tasks are not decided yet."""

# replaced by the lead's

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.comparison import Comparison


def undecided_tasks(comparison: Comparison, looks: Sequence[int], look: int) -> set[str]:
    """Tasks that still need seeds after a look; empty once all are decided.

    Args:
        comparison: The cells of this look alone.
        looks: Numbers of seeds at which is looked, declared before the run.
        look: Place of this one among them, from 0 on.
    """
    return set(comparison.study.tasks)  # replaced by the lead's: nothing is decided here
