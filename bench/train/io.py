"""Connections of a cohort in training: the ledger, progress reports, and verdicts to save or stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.ledger import atomic, paths, trace
from bench.ledger.cell_row import CellRow
from bench.ledger.leases import Lease
from bench.ledger.ledger import Ledger
from bench.ledger.rows import CohortRow, EvalRow, ResumeRow, WeightsRow
from bench.train import weights
from bench.train.weights import KeptFile

if TYPE_CHECKING:
    from torch import Tensor

GO, SAVE, STOP = range(3)


class StopError(Exception):
    """An evaluation is stopped in the middle, before it has changed anything."""


def tidy(directory: Path, cohort: str) -> None:
    """Remove the files that only a resume needs, of a cohort whose row says that it is done."""
    checkpoint, chunks = paths.checkpoint(directory, cohort), paths.trace_chunks(directory, cohort)
    checkpoint.unlink(missing_ok=True)
    atomic.sweep(checkpoint)
    atomic.sweep(paths.trace(directory, cohort))
    trace.discard(chunks)


@dataclass
class TrainingIO:
    """Ledger and callbacks of a cohort in training."""

    directory: Path
    ledger: Ledger | None  # None on ranks that do not write
    verdict: Callable[[int], int] = lambda step: GO  # GO, SAVE or STOP; called after every update
    progress: Callable[[int, int], None] = lambda cell_steps, cells: None  # called at evaluations; both so far
    lease: Lease | None = None  # on the cohort
    # Called at every batch and chunk of an evaluation; True stops the evaluation.
    heartbeat: Callable[[], bool] = lambda: False
    begin: Callable[[int], None] = lambda step: None  # called with the first step
    keep: bool = False  # whether the final weights of cells are kept

    def write(self, key: str, row: EvalRow | CellRow | CohortRow | WeightsRow) -> None:
        if self.ledger is not None:
            self.ledger.append(row.kind, key, row.payload())

    def keep_file(self, tensors: Mapping[str, Tensor]) -> KeptFile | None:
        """Write final weights; None on ranks that do not write."""
        return None if self.ledger is None else weights.write(self.directory, tensors)

    def record_resume(self, cohort: str, step: int) -> None:
        """Record that a cohort continues from a checkpoint; `glideslope status` counts these."""
        if self.ledger is not None:
            self.ledger.append_another(ResumeRow.kind, cohort, ResumeRow(cohort=cohort, step=step).payload())

    def flush(self) -> None:
        """Write the rows to the disk, before a checkpoint or an end that relies on them.

        Raises:
            LostError: another process has the cohort, so nothing more is written for it.
        """
        if self.lease is not None:
            self.lease.check()
        if self.ledger is not None:
            self.ledger.flush()
