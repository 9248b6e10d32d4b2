"""Cohorts shared out to worker processes, with progress: what runs now, cells done, time left."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.contract import Cohort, InputError
from bench.record import disk
from bench.record.ledger import Ledger
from bench.record.preempt import Flag
from bench.record.rows import explain
from bench.work import Site, fail, train, worker

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
"""glibc gives large blocks back and fetches them anew at every step unless told otherwise."""


@dataclass
class Outcome:
    """How the work on a plan's cohorts ended."""

    failures: dict[str, str] = field(default_factory=dict)  # cohort id -> one line
    stopped: bool = False  # a signal came: snapshots are written, run again to continue
    elsewhere: list[str] = field(default_factory=list)  # ids of cohorts that another process has, or had
    notes: list[str] = field(default_factory=list)

    def add(self, more: Outcome) -> None:
        """Take in how further work ended."""
        self.failures |= more.failures
        self.stopped |= more.stopped
        self.elsewhere += more.elsewhere
        self.notes += more.notes


class Board:
    """The progress display. Cohorts count by their predicted cost, corrected by what has been seen."""

    def __init__(self, console: Console, cost: dict[str, float], cells: int, total: int):
        self.console, self.cost = console, cost
        self.begun = time.monotonic()
        self.share: dict[str, float] = {}  # of each cohort, done here
        self.cells = dict.fromkeys(cost, 0)
        self.bar = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self.before = total - cells
        self.all: TaskID = self.bar.add_task("all", total=total, completed=self.before, left="")
        self.lines: dict[str, TaskID] = {}

    def start(self, cohort: Cohort) -> None:
        text = f"  {cohort.task} seed {cohort.seed}"
        self.lines[cohort.id] = self.bar.add_task(text, total=len(cohort.cells), left="")

    def news(self, cohort: Cohort, cell_steps: int, cells: int) -> None:
        self.share[cohort.id] = cell_steps / cohort.cell_steps
        self.cells[cohort.id] = cells
        self.bar.update(self.lines[cohort.id], completed=cells)
        self.bar.update(self.all, completed=self.before + sum(self.cells.values()), left=self._left())

    def end(self, cohort: Cohort, how: str) -> None:
        self.bar.remove_task(self.lines.pop(cohort.id))
        if how == "done":
            self.news_of_end(cohort)
        if not self.console.is_terminal or how != "done":
            done = self.before + sum(self.cells.values())
            total = self.bar.tasks[0].total
            left = self._left()
            self.console.print(
                f"{cohort.task} seed {cohort.seed}: {how}; {done} of {total:g} cells{left and ', ' + left}",
                highlight=False,
            )

    def news_of_end(self, cohort: Cohort) -> None:
        self.share[cohort.id], self.cells[cohort.id] = 1.0, len(cohort.cells)
        self.bar.update(self.all, completed=self.before + sum(self.cells.values()), left=self._left())

    def _left(self) -> str:
        done = sum(self.cost[i] * share for i, share in self.share.items())
        if not done:
            return ""
        seconds = (time.monotonic() - self.begun) * max(0.0, sum(self.cost.values()) / done - 1)
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"


def alone(cohorts: Sequence[Cohort], site: Site, flag: Flag, board: Board) -> Outcome:
    """Train all cohorts in this process: on a GPU, under --data-parallel, or with one worker."""
    outcome = Outcome()
    ledger: Ledger | None = site.ledger() if site.writes else None
    with board.bar if site.writes else contextlib.nullcontext():
        for cohort in cohorts:
            board.start(cohort)
            how = _one(cohort, site, ledger, flag, board, outcome)
            board.end(cohort, how)
            if outcome.stopped:
                break
    if ledger is not None:
        ledger.close()
        outcome.notes += ledger.notes
    return outcome


def _one(cohort: Cohort, site: Site, ledger: Ledger | None, flag: Flag, board: Board, outcome: Outcome) -> str:
    try:
        how = train(cohort, site, ledger, flag, lambda *news: board.news(cohort, *news))
    except Exception as error:  # one cohort's failure stays its own
        if disk.full(error):
            raise
        failure = f"{cohort.task} seed {cohort.seed}: {explain(error)}"
        if site.accelerator is not None and not isinstance(error, InputError):  # which all processes find alike
            raise SystemExit(f"{failure}; run again to continue") from error  # the others wait: this end tells them
        outcome.failures[cohort.id] = failure
        return "failed"
    outcome.stopped = how == "stopped"
    if how == "elsewhere":
        outcome.elsewhere.append(cohort.id)
    return how


class Pool:
    """Worker processes, each with a pipe; a cohort is given to whichever is free, the costliest first."""

    def __init__(self, cohorts: Sequence[Cohort], site: Site, workers: int, flag: Flag, board: Board):
        self.waiting = deque(sorted(cohorts, key=lambda c: -board.cost[c.id]))
        self.site, self.flag, self.board = site, flag, board
        self.busy: dict[Connection, tuple[BaseProcess, Cohort | None]] = {}
        self.workers = workers
        self.outcome = Outcome()
        self.full = ""  # what there was no room for

    def run(self) -> Outcome:
        """Train all cohorts; returns when every worker has ended.

        Raises:
            FullError: there is no room on the disk.
        """
        with self.board.bar, _environment(ALLOCATOR):
            for _ in range(min(self.workers, len(self.waiting))):
                self._hire()
            while self.busy:
                if self.flag and not self.outcome.stopped:
                    self._stop()
                for pipe in wait(list(self.busy), timeout=0.2):
                    assert isinstance(pipe, Connection)
                    self._hear(pipe)
        if self.full:
            raise disk.FullError(self.full)
        return self.outcome

    def _hire(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=worker, args=(theirs, self.site), daemon=True)
        process.start()
        theirs.close()
        self.busy[ours] = (process, None)
        self._give(ours)

    def _give(self, pipe: Connection) -> None:
        process, _ = self.busy[pipe]
        cohort = self.waiting.popleft() if self.waiting and not self.outcome.stopped else None
        self.busy[pipe] = (process, cohort)
        if cohort is not None:
            self.board.start(cohort)
        with contextlib.suppress(BrokenPipeError):  # its death is heard of next
            pipe.send(cohort)

    def _stop(self) -> None:
        self.outcome.stopped = True
        for process, _ in self.busy.values():
            process.terminate()

    def _hear(self, pipe: Connection) -> None:
        cohort = self.busy[pipe][1]
        try:
            kind, *news = pipe.recv()
        except (EOFError, ConnectionResetError):
            self._bury(pipe)
            return
        if kind == "notes":
            self.outcome.notes += news[0]
        elif cohort is None:
            raise RuntimeError(f"a worker told {kind!r} without a cohort")
        elif kind == "full":
            self.full, self.busy[pipe] = news[0], (self.busy[pipe][0], None)
            self.board.end(cohort, "no room on the disk")
            self._stop()
        elif kind == "progress":
            self.board.news(cohort, *news)
        else:
            if kind == "failed":
                self.outcome.failures[cohort.id] = f"{cohort.task} seed {cohort.seed}: {news[0]}"
            elif kind == "elsewhere":
                self.outcome.elsewhere.append(cohort.id)
            self.board.end(cohort, kind)
            self._give(pipe)

    def _bury(self, pipe: Connection) -> None:
        """A worker has ended: all in order without a cohort, killed in the middle of one otherwise."""
        process, cohort = self.busy.pop(pipe)
        process.join()
        pipe.close()
        if cohort is None:
            return
        self.board.end(cohort, "killed")
        error = f"its worker ended with code {process.exitcode}"
        self.outcome.failures[cohort.id] = f"{cohort.task} seed {cohort.seed}: {error}; run again to continue"
        ledger = self.site.ledger()
        fail(ledger, cohort, error)
        ledger.close()
        if self.waiting and not self.outcome.stopped:
            self._hire()


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Settings for the processes started inside; what the user has set stays."""
    added = {k: v for k, v in settings.items() if k not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            del os.environ[key]
