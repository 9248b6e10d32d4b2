"""What W&B shows of each cell: one `Run`, a pure function of the ledger's rows and traces. Wandb is not needed here."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from bench.analysis import results
from bench.contract import digest
from bench.ledger import ledger, lines, trace
from bench.ledger.rows import of_code, standing
from bench.strategies import averagings

Payload: TypeAlias = Mapping[str, Any]

STEPWISE = ("lr", "loss", "grad_norm")
"""History on the axis `step`: row t is the update at step t, as in the trace."""

EPOCHWISE = ("train_loss", "control", "test", "control_loss", "test_loss")
"""History on the axis `epoch`: in the row of step s, the evaluation after s updates."""

TAG = 64
"""Characters in a tag: W&B takes no more."""


@dataclass(frozen=True)
class Run:
    """One cell as W&B shows it. A value that is not finite is left out: JSON, and so W&B, has none."""

    id: str  # the cell's, 12 hexadecimal digits; where W&B has used it up, a generation is added: -g2
    name: str
    group: str  # suite
    job_type: str  # task
    tags: tuple[str, ...]  # strategy and budget
    config: dict[str, Any]  # settings of the cell, and provenance
    history: list[dict[str, float]]  # a row per step, ascending: `step`, `epoch`, and of the others what there is
    summary: dict[str, Any]  # status, final and best values of the headline metric, and every final metric

    @cached_property
    def digest(self) -> str:
        """Of all that is shown: equal digests are equal runs."""
        said = [self.name, self.group, self.job_type, self.tags, self.config, self.history, self.summary]
        return digest(json.dumps(said, sort_keys=True))


def of_ledger(directory: Path, cohorts: Collection[str] | None = None) -> Iterator[Run]:
    """The runs of all finished cohorts in a run's directory, or of those among `cohorts`; in the ledger's order.

    Raises:
        InputError: no ledger there, or it is corrupt.
    """
    book = Book.read(directory)
    for cohort in book.finished if cohorts is None else [c for c in book.finished if c in cohorts]:
        yield from book.runs(cohort)


class Book:
    """A ledger's rows, arranged by cohort."""

    def __init__(self, directory: Path, rows: Sequence[lines.Row]):
        self.directory = directory
        of = {kind: [r for r in rows if r["kind"] == kind] for kind in ("plan", "attempt", "cohort", "cell", "eval")}
        self.plan: Payload = standing(of["plan"])["payload"] if of["plan"] else {"tasks": {}}
        self.attempts = {row["key"]: row["payload"] for row in of["attempt"]}
        self.finished = [row["key"] for row in of["cohort"] if of_code(self.plan, row["payload"])]
        self._cells, self._evals = _by_cohort(of["cell"]), _by_cohort(of["eval"])
        self._strategy = results.namer(list(self._planned()))

    @classmethod
    def read(cls, directory: Path) -> Book:
        return cls(directory, ledger.read(directory))

    def _planned(self) -> Iterator[Payload]:
        """What a strategy's name hangs on, from the plan: a cell's name may not change as others are recorded."""
        for task, its in self.plan["tasks"].items():
            for said in its["optimizers"]:
                optimizer, _, decay = said.rpartition(", weight decay ")
                yield {"task": task, "optimizer": optimizer, "weight_decay": decay}

    @property
    def waiting(self) -> int:
        """Planned cells whose cohort is not finished."""
        return int(self.plan.get("cells", 0)) - sum(len(self._cells[c]) for c in self.finished)

    def cells(self, cohort: str) -> list[str]:
        """Ids of a cohort's cells."""
        return [row["key"] for row in self._cells[cohort]]

    def runs(self, cohort: str) -> Iterator[Run]:
        """The runs of one cohort. Without its trace file (a ledger copied alone) they hold evaluations only."""
        path = self.directory / "traces" / f"{cohort}.npz"
        segments = Segments(trace.read(path) if path.exists() else None, self._evals.get(cohort, []))
        for row in self._cells[cohort]:
            yield self._run(row, segments)

    def _run(self, row: lines.Row, segments: Segments) -> Run:
        cell, task = row["payload"], self.plan["tasks"][row["payload"]["task"]]
        strategy, suite = self._strategy(cell), self.plan["suite"]
        facts = {"strategy": strategy, "averaging": cell.get("averaging", "none"), "suite": suite}
        facts |= {"plan": self.plan["plan"], "metric": task["metric"], "direction": task["direction"]}
        return Run(
            id=cell["cell"],
            name=f"{strategy} | budget {cell['budget']:g} | peak LR {cell['peak_lr']:g} | seed {cell['seed']}",
            group=suite,
            job_type=cell["task"],
            tags=tuple(text if len(text) <= TAG else text[: TAG - 1] + "…" for text in (strategy, _budget(cell))),
            config={key: cell[key] for key in SETTINGS} | facts | self._provenance(row),
            history=segments.history(cell, task["epoch_steps"]),
            summary=_summary(cell, task["metric"]),
        )

    def _provenance(self, row: lines.Row) -> dict[str, Any]:
        attempt = self.attempts.get(row["attempt"], {})
        return {"attempt": row["attempt"]} | {key: attempt[key] for key in PROVENANCE if attempt.get(key) is not None}


SETTINGS = (
    *("cell", "task", "family", "schedule", "optimizer", "peak_lr", "weight_decay", "budget", "epochs", "total"),
    *("seed", "data", "cohort", "engine"),
)
PROVENANCE = ("commit", "dirty", "versions", "device", "processor", "threads", "host", "time")


class Segments:
    """What one cohort's members went through, by segment: traces and evaluations, and who was forked from whom."""

    def __init__(self, columns: Mapping[str, Any] | None, evals: Sequence[lines.Row]):
        self._columns = columns
        self._parent: dict[int, tuple[int, int]] = {}  # of a forked segment: its parent, and its first step
        self._evals: dict[tuple[int, str], list[Payload]] = {}
        for row in evals:
            it = row["payload"]
            self._evals.setdefault((it["segment"], it.get("average", averagings.PRESENT)), []).append(it)
            self._learn(it)

    def _learn(self, it: Payload) -> None:
        if it.get("parent") is not None:
            self._parent[it["segment"]] = it["parent"], it["start"]

    def history(self, cell: Payload, epoch_steps: int) -> list[dict[str, float]]:
        """Rows of a cell by ascending step, its ancestors' first: what it shared belongs to it as well."""
        self._learn(cell)  # a segment that diverged before its first evaluation is known from its cells only
        track = _track(cell, epoch_steps)
        rows: dict[int, dict[str, float]] = {}
        segment, end = int(cell["segment"]), int(cell["total"])
        while True:
            parent, start = self._parent.get(segment, (None, 0))
            for step, values in self._trace(segment, start, end):
                rows.setdefault(step, {}).update(values)
            for it in self._evals.get((segment, track), ()):
                if start < it["step"] <= end:
                    known = {key: it[key] for key in EPOCHWISE if it[key] is not None}
                    rows.setdefault(it["step"], {}).update(known)
            if parent is None:
                return [{"step": step, "epoch": step / epoch_steps} | rows[step] for step in sorted(rows)]
            segment, end = parent, start

    def _trace(self, segment: int, start: int, end: int) -> Iterator[tuple[int, dict[str, float]]]:
        if self._columns is None:
            return
        columns = self._columns
        here = (columns["segment"] == segment) & (columns["step"] >= start) & (columns["step"] < end)
        for step, *values in zip(*(columns[name][here].tolist() for name in ("step", *STEPWISE)), strict=True):
            yield step, {name: it for name, it in zip(STEPWISE, values, strict=True) if math.isfinite(it)}


def _by_cohort(rows: Sequence[lines.Row]) -> dict[str, list[lines.Row]]:
    by: dict[str, list[lines.Row]] = {}
    for row in rows:
        by.setdefault(row["payload"]["cohort"], []).append(row)
    return by


def _budget(cell: Payload) -> str:
    return f"budget {cell['budget']:g}"


def _track(cell: Payload, epoch_steps: int) -> str:
    """Whose evaluations are the cell's: those of its average, or of the member's own weights."""
    if "averaging" not in cell:
        return averagings.PRESENT
    return averagings.parse(cell["averaging"]).track(averagings.Span(cell["total"], epoch_steps))


def _summary(cell: Payload, metric: str) -> dict[str, Any]:
    if cell["status"] != "done":
        return {key: cell[key] for key in ("status", "first_bad_step", "failed_step", "error") if key in cell}
    best, anew = cell["best"], cell["recalibrated"]
    said = {"status": "done", "final": cell["final"][metric], "best": best["test"], "best_epoch": best["epoch"]}
    said |= {"recalibrated": anew and anew[metric]} | {f"final/{name}": it for name, it in cell["final"].items()}
    return {key: value for key, value in said.items() if value is not None}
