"""Where the record of a run goes, and who says when to save or stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.record import snapshot, trace
from bench.record.ledger import Ledger

GO, SAVE, STOP = range(3)


def tidy(directory: Path, cohort: str) -> None:
    """Remove what only a resume of this cohort would need: its row says that it is done."""
    path = directory / "snapshots" / f"{cohort}.pt"
    path.unlink(missing_ok=True)
    snapshot.sweep(path)
    trace.discard(directory / "traces" / cohort)


@dataclass
class Desk:
    """What a cohort in training writes to and asks."""

    directory: Path
    ledger: Ledger | None  # None on ranks that do not write
    verdict: Callable[[int], int] = lambda step: GO  # asked after every update
    progress: Callable[[int, int], None] = lambda cell_steps, cells: None  # told at evaluations: both so far

    def write(self, kind: str, key: str, payload: dict[str, Any]) -> None:
        if self.ledger is not None:
            self.ledger.append(kind, key, payload)
