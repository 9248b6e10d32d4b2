"""W&B's run of each cell: a pure function of the ledger's rows and traces. This module does not need wandb."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.analysis import results
from bench.contract import digest
from bench.ledger import ledger, paths, trace
from bench.ledger.cell_row import CellRow, CellSettings, Diverged, Done
from bench.ledger.lines import Row
from bench.ledger.rows import AttemptRow, CohortRow, EvalRow, PlanRow, last_plan, of_code, of_kind
from bench.strategies import averagings

STEPWISE = ("lr", "loss", "grad_norm")
"""Metrics on the axis `step`: the row of step t has those of update t, as in the trace."""

EPOCHWISE = ("train_loss", "control", "test", "control_loss", "test_loss")
"""Metrics on the axis `epoch`: the row of step s has those of the evaluation after s updates."""

TAG = 64
"""Most characters in a tag that W&B accepts."""


@dataclass(frozen=True)
class CellRun:
    """One cell as W&B shows it. Values that are not finite are left out, as JSON, and so W&B, cannot hold them."""

    id: str  # the cell's, 12 hexadecimal digits; if W&B no longer accepts it, a generation is added: -g2
    name: str
    group: str  # suite
    job_type: str  # task
    tags: tuple[str, ...]  # strategy and budget
    config: dict[str, Any]  # settings of the cell, and provenance
    history: list[dict[str, float]]  # a row per step, ascending: `step`, `epoch`, and the other metrics that exist
    summary: dict[str, Any]  # status, final and best values of the headline metric, and every final metric

    @cached_property
    def digest(self) -> str:
        """Digest of everything that W&B shows: equal digests are equal runs."""
        content = [self.name, self.group, self.job_type, self.tags, self.config, self.history, self.summary]
        return digest(json.dumps(content, sort_keys=True))


def of_ledger(directory: Path, cohorts: Collection[str] | None = None) -> Iterator[CellRun]:
    """Runs of all finished cohorts in a run's directory, or of those among `cohorts`, in the ledger's order.

    Raises:
        InputError: the directory holds no ledger, or a corrupt one.
    """
    book = CohortIndex.read(directory)
    for cohort in book.finished:
        if cohorts is None or cohort in cohorts:
            yield from book.runs(cohort)


class CohortIndex:
    """A ledger's rows, arranged by cohort."""

    def __init__(self, directory: Path, rows: Sequence[Row]):
        self.directory = directory
        plans = of_kind(rows, PlanRow)
        self.plan = last_plan(plans) if plans else None
        self.attempts = of_kind(rows, AttemptRow)
        self.finished = [key for key, row in of_kind(rows, CohortRow).items() if of_code(self.plan, row)]
        self._attempt_of = {row.key: row.attempt for row in rows if row.kind == CellRow.kind}
        self._cells: dict[str, list[CellRow]] = {}
        for cell in of_kind(rows, CellRow).values():
            self._cells.setdefault(cell.settings.cohort, []).append(cell)
        self._evals: dict[str, list[EvalRow]] = {}
        for evaluation in of_kind(rows, EvalRow).values():
            self._evals.setdefault(evaluation.cohort, []).append(evaluation)

    @classmethod
    def read(cls, directory: Path) -> CohortIndex:
        return cls(directory, ledger.read(directory))

    @property
    def waiting(self) -> int:
        """Planned cells whose cohort is not finished."""
        return (self.plan.cells if self.plan else 0) - sum(len(self._cells[c]) for c in self.finished)

    def cells(self, cohort: str) -> list[str]:
        """Ids of a cohort's cells."""
        return [cell.settings.cell for cell in self._cells[cohort]]

    def runs(self, cohort: str) -> Iterator[CellRun]:
        """Runs of one cohort. Without its trace file (if the ledger was copied alone) they hold evaluations only."""
        path = paths.trace(self.directory, cohort)
        segments = Segments(trace.read(path) if path.exists() else None, self._evals.get(cohort, []))
        for cell in self._cells[cohort]:
            yield self._run(cell, segments)

    def _run(self, row: CellRow, segments: Segments) -> CellRun:
        assert self.plan is not None, "no cohort is finished without a plan"
        cell, task = row.settings, self.plan.tasks[row.settings.task]
        strategy, suite = results.strategy_name(cell, task), self.plan.suite
        facts = {"strategy": strategy, "averaging": cell.averaging, "suite": suite}
        facts |= {"plan": self.plan.plan, "metric": task.metric, "direction": task.direction}
        return CellRun(
            id=cell.cell,
            name=f"{strategy} | budget {cell.budget:g} | peak LR {cell.peak_lr:g} | seed {cell.seed}",
            group=suite,
            job_type=cell.task,
            tags=tuple(text if len(text) <= TAG else text[: TAG - 1] + "…" for text in (strategy, _budget(cell))),
            config={name: getattr(cell, name) for name in SETTINGS} | facts | self._provenance(cell.cell),
            history=segments.history(row, task.epoch_steps),
            summary=_summary(row, task.metric),
        )

    def _provenance(self, cell: str) -> dict[str, Any]:
        name = self._attempt_of[cell]
        attempt = self.attempts.get(name or "")
        facts = {field: getattr(attempt, field) for field in PROVENANCE} if attempt else {}
        return {"attempt": name} | {field: value for field, value in facts.items() if value is not None}


SETTINGS = (
    *("cell", "task", "family", "schedule", "optimizer", "peak_lr", "weight_decay", "budget", "epochs", "total"),
    *("seed", "data", "cohort", "engine"),
)
PROVENANCE = ("commit", "dirty", "versions", "device", "processor", "threads", "host", "time")


class Segments:
    """Traces and evaluations of one cohort's members by segment, and the segments that these were forked from."""

    def __init__(self, columns: Mapping[str, Any] | None, evals: Sequence[EvalRow]):
        self._columns = columns
        self._parent: dict[int, tuple[int, int]] = {}  # of a forked segment: its parent, and its first step
        self._evals: dict[tuple[int, str], list[EvalRow]] = {}
        for row in evals:
            self._evals.setdefault((row.segment, row.average or averagings.PRESENT), []).append(row)
            self._learn(row.segment, row.parent, row.start)

    def _learn(self, segment: int, parent: int | None, start: int | None) -> None:
        if parent is not None and start is not None:
            self._parent[segment] = parent, start

    def history(self, row: CellRow, epoch_steps: int) -> list[dict[str, float]]:
        """Rows of a cell by ascending step, including those of its ancestors up to each fork."""
        cell, result = row.settings, row.result
        if not isinstance(result, Done):  # a segment without evaluations has its parent in its cells' rows only
            self._learn(cell.segment, result.parent, result.start)
        track = _track(cell, epoch_steps)
        rows: dict[int, dict[str, float]] = {}
        segment, end = cell.segment, cell.total
        while True:
            parent, start = self._parent.get(segment, (None, 0))
            for step, values in self._trace(segment, start, end):
                rows.setdefault(step, {}).update(values)
            for evaluation in self._evals.get((segment, track), ()):
                if start < evaluation.step <= end:
                    metrics = {name: getattr(evaluation, name) for name in EPOCHWISE}
                    finite = {name: value for name, value in metrics.items() if value is not None}
                    rows.setdefault(evaluation.step, {}).update(finite)
            if parent is None:
                return [{"step": step, "epoch": step / epoch_steps} | rows[step] for step in sorted(rows)]
            segment, end = parent, start

    def _trace(self, segment: int, start: int, end: int) -> Iterator[tuple[int, dict[str, float]]]:
        if self._columns is None:
            return
        columns = self._columns
        selection = (columns["segment"] == segment) & (columns["step"] >= start) & (columns["step"] < end)
        lists = [columns[name][selection].tolist() for name in ("step", *STEPWISE)]
        for step, *values in zip(*lists, strict=True):
            metrics = zip(STEPWISE, values, strict=True)
            yield step, {name: value for name, value in metrics if math.isfinite(value)}


def _budget(cell: CellSettings) -> str:
    return f"budget {cell.budget:g}"


def _track(cell: CellSettings, epoch_steps: int) -> str:
    """Name of the weights whose evaluations are the cell's: its average, or the member's own weights."""
    if cell.averaging == "none":
        return averagings.PRESENT
    return averagings.parse(cell.averaging).track(averagings.Span(cell.total, epoch_steps))


def _summary(row: CellRow, metric: str) -> dict[str, Any]:
    result = row.result
    if isinstance(result, Diverged):
        return {"status": row.status, "first_bad_step": result.first_bad_step}
    if not isinstance(result, Done):
        return {"status": row.status, "failed_step": result.failed_step, "error": result.error}
    best, recalibrated = result.best, result.recalibrated
    values: dict[str, Any] = {"status": row.status, "final": result.final[metric]}
    values |= {"best": best.test, "best_epoch": best.epoch} if best else {}
    values |= {"recalibrated": recalibrated[metric]} if recalibrated else {}
    values |= {f"final/{name}": value for name, value in result.final.items()}
    return {name: value for name, value in values.items() if value is not None}
