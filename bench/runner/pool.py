"""Cohorts shared out to worker processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from bench.contract import Cohort, InputError
from bench.ledger import atomic
from bench.ledger.ledger import Ledger
from bench.preempt import Flag, hold_signals
from bench.runner.progress import ProgressDisplay
from bench.runner.worker import Site, fail, train, worker
from bench.train.outputs import explain

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


def alone(cohorts: Sequence[Cohort], site: Site, flag: Flag, board: ProgressDisplay) -> Outcome:
    """Train all cohorts in this process: on a GPU, under --data-parallel, or with one worker."""
    outcome = Outcome()
    ledger: Ledger | None = site.ledger() if site.writes else None
    with board.bar if site.writes else contextlib.nullcontext():
        for cohort in _costliest_first(cohorts, board):
            board.start(cohort)
            how = _one(cohort, site, ledger, flag, board, outcome)
            board.end(cohort, how)
            if outcome.stopped:
                break
    if ledger is not None:
        ledger.close()
        outcome.notes += ledger.notes
    return outcome


def _one(
    cohort: Cohort, site: Site, ledger: Ledger | None, flag: Flag, board: ProgressDisplay, outcome: Outcome
) -> str:
    try:
        how = train(cohort, site, ledger, flag, lambda *news: board.news(cohort, *news))
    except Exception as error:  # one cohort's failure stays its own
        if atomic.full(error):
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


def _costliest_first(cohorts: Sequence[Cohort], board: ProgressDisplay) -> list[Cohort]:
    """So that processes which take what is free end at about the same time."""
    return sorted(cohorts, key=lambda c: -board.cost[c.id])


class Pool:
    """Worker processes, each with a pipe; a cohort is given to whichever is free, the costliest first."""

    def __init__(self, cohorts: Sequence[Cohort], site: Site, workers: int, flag: Flag, board: ProgressDisplay):
        self.waiting = deque(_costliest_first(cohorts, board))
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
            raise atomic.FullError(self.full)
        return self.outcome

    def _hire(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=worker, args=(theirs, self.site), daemon=True)
        with hold_signals():  # until the worker has imported what it needs
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
        fail(self.site, ledger, cohort, error)
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
