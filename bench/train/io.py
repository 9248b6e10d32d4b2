"""Where the record of a run goes, and who says when to save or stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.ledger import atomic, paths, trace
from bench.ledger.cell_row import CellRow
from bench.ledger.leases import Lease
from bench.ledger.ledger import Ledger
from bench.ledger.rows import CohortRow, EvalRow, ResumeRow

GO, SAVE, STOP = range(3)


class StopError(Exception):
    """Told to stop in the middle of an evaluation, before it has changed anything."""


def tidy(directory: Path, cohort: str) -> None:
    """Remove what only a resume of this cohort would need: its row says that it is done."""
    checkpoint, chunks = paths.checkpoint(directory, cohort), paths.trace_chunks(directory, cohort)
    checkpoint.unlink(missing_ok=True)
    atomic.sweep(checkpoint)
    atomic.sweep(paths.trace(directory, cohort))
    trace.discard(chunks)


@dataclass
class TrainingIO:
    """What a cohort in training writes to and asks."""

    directory: Path
    ledger: Ledger | None  # None on ranks that do not write
    verdict: Callable[[int], int] = lambda step: GO  # asked after every update
    progress: Callable[[int, int], None] = lambda cell_steps, cells: None  # told at evaluations: both so far
    claim: Lease | None = None  # on the cohort
    heartbeat: Callable[[], bool] = lambda: False  # at every batch and chunk of an evaluation: whether to stop there
    begin: Callable[[int], None] = lambda step: None  # told the step that training begins at

    def write(self, key: str, row: EvalRow | CellRow | CohortRow) -> None:
        if self.ledger is not None:
            self.ledger.append(row.kind, key, row.payload())

    def resumed(self, cohort: str, step: int) -> None:
        """Note that a cohort goes on from a snapshot: `glideslope status` tells how many had to."""
        if self.ledger is not None:
            self.ledger.append_another(ResumeRow.kind, cohort, ResumeRow(cohort=cohort, step=step).payload())

    def flush(self) -> None:
        """Bring the rows to the disk, for a snapshot or an end that counts on them.

        Raises:
            LostError: another process has the cohort, so nothing more is written for it.
        """
        if self.claim is not None:
            self.claim.check()
        if self.ledger is not None:
            self.ledger.flush()
