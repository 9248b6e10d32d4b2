"""`glideslope status`: how far a run is, from its ledger, its leases and, if there is one, SLURM's queue."""

from __future__ import annotations

import calendar
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
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
"""Kinds of rows that a standing is read from."""

LIST_LIMIT = 20  # most cohorts listed, of those that run and of those that failed


@dataclass
class Standing:
    """Progress of a run's cohorts and cells."""

    plan: PlanRow
    finished: dict[str, str] = field(default_factory=dict)  # cohort -> attempt that finished it
    cells: set[str] = field(default_factory=set)  # ids of those with a row
    diverged: set[str] = field(default_factory=set)
    starts: dict[str, float] = field(default_factory=dict)  # attempt -> start, in seconds since 1970
    errors: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))  # cohort -> failure -> message
    attempts: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # cohort -> those with rows of it
    resumed: set[str] = field(default_factory=set)  # cohorts that continued from a checkpoint
    running: dict[str, leases.Holder] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, str]:
        """Last error of each cohort that failed and is neither finished nor running again."""
        return {
            cohort: [*messages.values()][-1] for cohort, messages in self.errors.items() if not self._goes_on(cohort)
        }

    @property
    def retried(self) -> int:
        """Cohorts that took, or take, more than one attempt."""
        repeated = {cohort for cohort, names in self.attempts.items() if len(names) > 1}
        failed = {cohort for cohort, messages in self.errors.items() if len(messages) > 1 or self._goes_on(cohort)}
        return len(repeated | failed | self.resumed)

    def _goes_on(self, cohort: str) -> bool:
        return cohort in self.finished or cohort in self.running

    @property
    def waiting(self) -> int:
        return self.plan.cohorts - len(self.finished) - len(self.running) - len(self.failed)


def read_standing(rows: Iterable[Row], holders: Mapping[str, leases.Holder]) -> Standing:
    """Read a standing from rows of KINDS, which may repeat, and from the holders of leases, by cohort.

    Raises:
        InputError: the rows hold no plan.
    """
    rows = list(rows)
    plans = of_kind(rows, PlanRow)
    if not plans:
        raise InputError("the ledger holds no plan: its run has not begun")
    standing = Standing(last_plan(plans))
    for key, attempt in of_kind(rows, AttemptRow).items():
        standing.starts[key] = calendar.timegm(time.strptime(attempt.time, "%Y-%m-%dT%H:%M:%SZ"))
    standing.resumed = {resume.cohort for resume in of_kind(rows, ResumeRow).values()}
    for key, failure in of_kind(rows, FailureRow).items():
        if of_code(standing.plan, failure):
            standing.errors[failure.cohort][key] = f"{failure.task} seed {failure.seed}: {failure.error}"
    for row in rows:
        if row.kind == CohortRow.kind and of_code(standing.plan, CohortRow.read(row.payload)):
            standing.attempts[row.key].add(row.attempt or "")
            standing.finished[row.key] = row.attempt or ""
        elif row.kind == CellRow.kind and of_code(standing.plan, (cell := CellRow.read(row.payload)).settings):
            standing.attempts[cell.settings.cohort].add(row.attempt or "")
            standing.cells.add(row.key)
            standing.diverged |= {row.key} if isinstance(cell.result, Diverged) else set()
    standing.running = {cohort: holder for cohort, holder in holders.items() if cohort not in standing.finished}
    return standing


def remaining_seconds(standing: Standing, loads: Mapping[str, Load], ended: Mapping[str, float]) -> float | None:
    """Remaining work in seconds of one worker: its predicted cost, times observed over predicted time so far.

    Args:
        standing: Progress so far.
        loads: Cohorts with their predicted cost; unless all are predicted, all count the same.
        ended: Time at which each finished cohort's trace was written; without any, None is returned.
    """
    predictable = len(loads) == standing.plan.cohorts
    by_attempt: dict[str, list[str]] = defaultdict(list)
    for cohort, attempt in standing.finished.items():
        if cohort in ended and attempt in standing.starts:
            by_attempt[attempt].append(cohort)
    took = 0.0
    for attempt, cohorts in by_attempt.items():
        took += max(ended[cohort] for cohort in cohorts) - standing.starts[attempt]

    def cost(cohorts: Iterable[str]) -> float:
        return sum(loads[cohort].seconds if predictable else 1.0 for cohort in cohorts)

    predicted = cost(chain.from_iterable(by_attempt.values()))
    if not predicted:
        return None
    plan_cost = cost(loads) if predictable else float(standing.plan.cohorts)
    remaining = plan_cost - cost(standing.finished)
    return remaining * max(0.0, took) / predicted


def show(directory: Path, console: Console) -> int:
    """Print the progress of the run in a directory.

    Raises:
        InputError: the directory holds no ledger, or one without a plan.
    """
    notes: list[str] = []
    if not paths.parts(directory):
        raise InputError(f"{directory} holds no ledger: give the --out directory of a run")
    standing = read_standing(LedgerReader(directory, row_of(KINDS), notes).new(), leases.standing(directory))
    loads: dict[str, Load] = {}
    for folder in paths.submissions(directory):
        for share in packing.read(paths.assignment(folder))[1]:
            loads |= {load.id: load for load in share}
    ended = {path.stem: path.stat().st_mtime for path in paths.traces(directory)}
    lines = summary(standing, loads, remaining_seconds(standing, loads, ended))
    lines += [*queue_lines(directory), *(f"note: {note}" for note in notes)]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def summary(standing: Standing, loads: Mapping[str, Load], remaining: float | None) -> list[str]:
    """Lines that describe a standing."""
    plan = standing.plan
    cohorts = f"{len(standing.finished):,} of {plan.cohorts:,} cohorts done"
    counts = f"running {len(standing.running):,}, waiting {standing.waiting:,}, failed {len(standing.failed):,}"
    lines = [
        f"Suite {plan.suite}: {cohorts}, {len(standing.cells):,} of {plan.cells:,} cells",
        f"  {counts}, retried {standing.retried:,} cohorts; diverged {len(standing.diverged):,} cells",
    ]
    if len(standing.finished) < plan.cohorts:
        alike = "" if len(loads) == plan.cohorts or remaining is None else ", if all cohorts take equally long"
        lines.append(f"  {_time(remaining, len(standing.running))}{alike}")
    for cohort, holder in list(standing.running.items())[:LIST_LIMIT]:
        name = f"{loads[cohort].task} seed {loads[cohort].seed}" if cohort in loads else f"cohort {cohort}"
        lines.append(
            f"running: {name}, by process {holder.process} on {holder.host}, last heard from {holder.age:.0f} s ago"
        )
    lines += [f"failed: {error}" for error in list(standing.failed.values())[:LIST_LIMIT]]
    return lines


def _time(remaining: float | None, workers: int) -> str:
    if remaining is None:
        return "time left: not known before a cohort is done"
    if not workers:
        return f"time left: about {_minutes(remaining)} of one worker; nothing runs now"
    return f"time left: about {_minutes(remaining / workers)}, with {workers} at once"


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def queue_lines(directory: Path) -> list[str]:
    """A line for each submission with jobs in SLURM's queue, or a single line if the queue cannot be read."""
    lines = []
    for submission in paths.submissions(directory):
        path = paths.jobs(submission)
        if not path.exists():  # a dry run
            continue
        jobs: dict[str, str] = json.loads(path.read_text("utf-8"))
        names = {name: jobs[name] for name in ("array", "report") if name in jobs}  # no report job if SLURM refused it
        states = queue.states(list(names.values()), jobs.get("cluster", ""))
        if states is None:
            return ["SLURM: squeue does not answer here"]
        counts = Counter(states.values())
        if counts:
            job_text = ", ".join(f"{name} job {job}" for name, job in names.items())
            count_text = ", ".join(f"{n} {state.lower()}" for state, n in sorted(counts.items()))
            lines.append(f"SLURM: {job_text}: {count_text}")
    return lines
