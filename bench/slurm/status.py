"""`glideslope status`: how far a run is, from its ledger, its claims and, where there is one, SLURM's queue."""

from __future__ import annotations

import calendar
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench.contract import InputError
from bench.ledger import leases, paths
from bench.ledger.cell_row import CellRow, Diverged
from bench.ledger.lines import LedgerReader, Row, row_of
from bench.ledger.rows import AttemptRow, CohortRow, FailureRow, PlanRow, ResumeRow, last_plan, of_code, of_kind
from bench.plan import packing
from bench.plan.packing import Load
from bench.slurm import queue

KINDS = tuple(kind.kind for kind in (PlanRow, AttemptRow, CohortRow, CellRow, FailureRow, ResumeRow))
"""Rows that a standing is made of."""

NAMED = 20  # cohorts named at most, of those that run and of those that failed


@dataclass
class Standing:
    """Where the cohorts and cells of a run stand."""

    plan: PlanRow
    done: dict[str, str] = field(default_factory=dict)  # cohort -> the attempt that finished it
    cells: set[str] = field(default_factory=set)  # ids of those with a row
    diverged: set[str] = field(default_factory=set)
    begun: dict[str, float] = field(default_factory=dict)  # attempt -> when, in seconds since 1970
    errors: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))  # cohort -> failure -> a line
    attempts: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # cohort -> those with rows of it
    resumed: set[str] = field(default_factory=set)  # cohorts that went on from a snapshot
    running: dict[str, leases.Holder] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, str]:
        """Cohorts that failed, and are neither done nor tried again now: the last error of each."""
        return {
            c: [*said.values()][-1] for c, said in self.errors.items() if c not in self.done and c not in self.running
        }

    @property
    def retried(self) -> int:
        """Cohorts that took, or take, more than one attempt."""
        again = {cohort for cohort, names in self.attempts.items() if len(names) > 1}
        failed = {c for c, said in self.errors.items() if len(said) > 1 or c in self.done or c in self.running}
        return len(again | failed | self.resumed)

    @property
    def waiting(self) -> int:
        return self.plan.cohorts - len(self.done) - len(self.running) - len(self.failed)


def of(rows: Iterable[Row], holders: Mapping[str, leases.Holder]) -> Standing:
    """What rows of KINDS and claims say; a row may come twice.

    Raises:
        InputError: the rows hold no plan.
    """
    rows = list(rows)
    plans = of_kind(rows, PlanRow)
    if not plans:
        raise InputError("the ledger holds no plan: its run has not begun")
    it = Standing(last_plan(plans))
    for key, attempt in of_kind(rows, AttemptRow).items():
        it.begun[key] = calendar.timegm(time.strptime(attempt.time, "%Y-%m-%dT%H:%M:%SZ"))
    it.resumed = {resume.cohort for resume in of_kind(rows, ResumeRow).values()}
    for key, failure in of_kind(rows, FailureRow).items():
        if of_code(it.plan, failure):
            it.errors[failure.cohort][key] = f"{failure.task} seed {failure.seed}: {failure.error}"
    for row in rows:
        if row.kind == CohortRow.kind and of_code(it.plan, CohortRow.read(row.payload)):
            it.attempts[row.key].add(row.attempt or "")
            it.done[row.key] = row.attempt or ""
        elif row.kind == CellRow.kind and of_code(it.plan, (cell := CellRow.read(row.payload)).settings):
            it.attempts[cell.settings.cohort].add(row.attempt or "")
            it.cells.add(row.key)
            it.diverged |= {row.key} if isinstance(cell.result, Diverged) else set()
    it.running = {cohort: holder for cohort, holder in holders.items() if cohort not in it.done}
    return it


def seconds_left(it: Standing, loads: Mapping[str, Load], ended: Mapping[str, float]) -> float | None:
    """Work that is left, in seconds of one worker: its predicted cost, times observed over predicted so far.

    Args:
        it: What is done.
        loads: Cohorts with their predicted cost; where some are not known, all count the same.
        ended: When each finished cohort's trace was written; None is returned without any.
    """
    known = len(loads) == it.plan.cohorts
    finished: dict[str, list[str]] = defaultdict(list)
    for cohort, attempt in it.done.items():
        if cohort in ended and attempt in it.begun:
            finished[attempt].append(cohort)
    took = sum(max(ended[c] for c in cohorts) - it.begun[attempt] for attempt, cohorts in finished.items())

    def cost(cohorts: Iterable[str]) -> float:
        return sum(loads[c].seconds if known else 1.0 for c in cohorts)

    predicted = cost(c for cohorts in finished.values() for c in cohorts)
    if not predicted:
        return None
    left = cost(loads) - cost(it.done) if known else float(it.plan.cohorts - len(it.done))
    return left * max(0.0, took) / predicted


def show(directory: Path, console: Console) -> int:
    """Print how far the run in a directory is.

    Raises:
        InputError: no ledger is there, or none with a plan.
    """
    notes: list[str] = []
    if not paths.parts(directory):
        raise InputError(f"{directory} holds no ledger: give the --out directory of a run")
    it = of(LedgerReader(directory, row_of(KINDS), notes).new(), leases.standing(directory))
    loads = {
        load.id: load for file in paths.assignments(directory) for share in packing.read(file)[1] for load in share
    }
    ended = {path.stem: path.stat().st_mtime for path in paths.traces(directory)}
    lines = [*text(it, loads, seconds_left(it, loads, ended)), *slurm(directory), *(f"note: {n}" for n in notes)]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def text(it: Standing, loads: Mapping[str, Load], left: float | None) -> list[str]:
    """A standing in lines."""
    plan = it.plan
    lines = [
        f"Suite {plan.suite}: {len(it.done):,} of {plan.cohorts:,} cohorts done, {len(it.cells):,} of "
        f"{plan.cells:,} cells",
        f"  running {len(it.running):,}, waiting {it.waiting:,}, failed {len(it.failed):,}, retried {it.retried:,} "
        f"cohorts; diverged {len(it.diverged):,} cells",
    ]
    if len(it.done) < plan.cohorts:
        alike = "" if len(loads) == plan.cohorts else ", were all cohorts alike"
        lines.append(f"  {_time(left, len(it.running))}{alike if left is not None else ''}")
    for cohort, holder in list(it.running.items())[:NAMED]:
        name = f"{loads[cohort].task} seed {loads[cohort].seed}" if cohort in loads else f"cohort {cohort}"
        lines.append(f"running: {name}, by process {holder.process} on {holder.host}, heard of {holder.age:.0f} s ago")
    lines += [f"failed: {error}" for error in list(it.failed.values())[:NAMED]]
    return lines


def _time(left: float | None, at_once: int) -> str:
    if left is None:
        return "time left: not known before a cohort is done"
    if not at_once:
        return f"time left: about {_minutes(left)} of one worker; nothing runs now"
    return f"time left: about {_minutes(left / at_once)}, with {at_once} at once"


def _minutes(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def slurm(directory: Path) -> list[str]:
    """A line for each submission that SLURM still has jobs of, or one that says that it cannot be asked."""
    lines = []
    for file in paths.assignments(directory):
        path = file.with_name("jobs.json")
        if not path.exists():  # a dry run
            continue
        jobs: dict[str, str] = json.loads(path.read_text("utf-8"))
        names = {name: jobs[name] for name in ("array", "report") if name in jobs}  # no report where it was refused
        states = queue.states(list(names.values()), jobs.get("cluster", ""))
        if states is None:
            return ["SLURM: squeue does not answer here"]
        counts = Counter(states.values())
        if counts:
            said = ", ".join(f"{n} {state.lower()}" for state, n in sorted(counts.items()))
            lines.append(f"SLURM: {', '.join(f'{name} job {job}' for name, job in names.items())}: {said}")
    return lines
