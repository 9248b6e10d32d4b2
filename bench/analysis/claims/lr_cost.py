"""Cost of deciding the LR compared with that of an update, as measured by `tests/schedules/cost.py`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.contract import InputError


@dataclass(frozen=True)
class Costs:
    """Microseconds of process CPU time for an update of each task, and for a decision of each schedule."""

    updates: Mapping[str, float]
    decisions: Mapping[str, float]

    @classmethod
    def read(cls, file: Path) -> Costs:
        """Read a measured table.

        Raises:
            InputError: the file is missing, or not such a table.
        """
        try:
            lines = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
            costs = {kind: {x["name"]: float(x["microseconds"]) for x in lines if x["of"] == kind} for kind in KINDS}
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file} should be a table with the columns of, name and microseconds: {error}") from None
        if not all(costs.values()):
            raise InputError(
                f"{file} should have the columns of, name and microseconds, and lines of {' and '.join(KINDS)}"
            )
        return cls(*(costs[kind] for kind in KINDS))

    def shares(self) -> Iterator[tuple[str, str, float]]:
        """Triples (task, schedule, share of the task's update that deciding its LR takes)."""
        for task, update in self.updates.items():
            for schedule, decision in self.decisions.items():
                yield task, schedule, decision / update


KINDS = ("update", "decision")
