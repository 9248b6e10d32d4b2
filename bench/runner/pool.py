"""Training of many cohorts, in this process or by a pool of worker processes."""

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
from bench.preempt import Flag, spawning
from bench.runner.progress import ProgressDisplay
from bench.runner.worker import WorkerContext, record_failure, train, worker_main
from bench.train.outputs import explain

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
"""Settings of glibc, which else returns large blocks to the system and allocates them again at every step."""


@dataclass
class Outcome:
    """Result of training some cohorts."""

    failures: dict[str, str] = field(default_factory=dict)  # cohort id -> one line
    stopped: bool = False  # a signal came; checkpoints are written, and the same command continues
    elsewhere: list[str] = field(default_factory=list)  # ids of cohorts that another process is training or has trained
    notes: list[str] = field(default_factory=list)

    def add(self, more: Outcome) -> None:
        """Add the outcome of further cohorts."""
        self.failures |= more.failures
        self.stopped |= more.stopped
        self.elsewhere += more.elsewhere
        self.notes += more.notes


def train_in_process(
    cohorts: Sequence[Cohort], context: WorkerContext, flag: Flag, display: ProgressDisplay
) -> Outcome:
    """Train all cohorts in this process: on a GPU, under --data-parallel, or with one worker."""
    outcome = Outcome()
    ledger: Ledger | None = context.ledger() if context.writes else None
    with display.bar if context.writes else contextlib.nullcontext():
        for cohort in _costliest_first(cohorts, display):
            display.start(cohort)
            ending = _train_one(cohort, context, ledger, flag, display, outcome)
            display.end(cohort, ending)
            if outcome.stopped:
                break
    if ledger is not None:
        ledger.close()
        outcome.notes += ledger.notes
    return outcome


def _train_one(
    cohort: Cohort,
    context: WorkerContext,
    ledger: Ledger | None,
    flag: Flag,
    display: ProgressDisplay,
    outcome: Outcome,
) -> str:
    try:
        ending = train(cohort, context, ledger, flag, lambda *counts: display.update(cohort, *counts))
    except Exception as error:  # other cohorts are trained all the same
        if atomic.full(error):
            raise
        failure = f"{cohort.task} seed {cohort.seed}: {explain(error)}"
        # An InputError is raised in all processes. After any other error this process ends, for the others are waiting
        # for it, and the launcher then ends them, too.
        if context.accelerator is not None and not isinstance(error, InputError):
            raise SystemExit(f"{failure}; run again to continue") from error
        outcome.failures[cohort.id] = failure
        return "failed"
    outcome.stopped = ending == "stopped"
    if ending == "elsewhere":
        outcome.elsewhere.append(cohort.id)
    return ending


def _costliest_first(cohorts: Sequence[Cohort], display: ProgressDisplay) -> list[Cohort]:
    """Cohorts by descending predicted cost, so that processes taking one after another end at about the same time."""
    return sorted(cohorts, key=lambda c: -display.cost[c.id])


class Pool:
    """Worker processes, each with a pipe. A free worker is sent the costliest cohort that remains."""

    def __init__(
        self, cohorts: Sequence[Cohort], context: WorkerContext, workers: int, flag: Flag, display: ProgressDisplay
    ):
        self.waiting = deque(_costliest_first(cohorts, display))
        self.context, self.flag, self.display = context, flag, display
        self.busy: dict[Connection, tuple[BaseProcess, Cohort | None]] = {}
        self.workers = workers
        self.outcome = Outcome()
        self.full = ""  # the error of a write that found no room on the disk

    def run(self) -> Outcome:
        """Train all cohorts; returns when every worker has ended.

        Raises:
            FullError: there is no room on the disk.
        """
        with self.display.bar, _environment(ALLOCATOR), self._stopped_by_errors():
            for _ in range(min(self.workers, len(self.waiting))):
                self._start_worker()
            while self.busy:
                if self.flag and not self.outcome.stopped:
                    self._stop_workers()
                for pipe in wait(list(self.busy), timeout=0.2):
                    assert isinstance(pipe, Connection)
                    self._receive(pipe)
        if self.full:
            raise atomic.FullError(self.full)
        return self.outcome

    @contextlib.contextmanager
    def _stopped_by_errors(self) -> Iterator[None]:
        """Stop the workers if an error comes, such as a second Ctrl-C in a notebook, whose process goes on."""
        try:
            yield
        except BaseException:
            self._stop_workers()
            for pipe in self.busy:
                pipe.close()
            raise

    def _start_worker(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        own_end, worker_end = spawn.Pipe()
        process = spawn.Process(target=worker_main, args=(worker_end, self.context), daemon=True)
        with spawning():  # until the worker has imported what it needs
            process.start()
        worker_end.close()
        self.busy[own_end] = (process, None)
        self._assign(own_end)

    def _assign(self, pipe: Connection) -> None:
        process, _ = self.busy[pipe]
        cohort = self.waiting.popleft() if self.waiting and not self.outcome.stopped else None
        self.busy[pipe] = (process, cohort)
        if cohort is not None:
            self.display.start(cohort)
        with contextlib.suppress(BrokenPipeError):  # the worker was killed; `_receive` notices next
            pipe.send(cohort)

    def _stop_workers(self) -> None:
        self.outcome.stopped = True
        for process, _ in self.busy.values():
            process.terminate()

    def _receive(self, pipe: Connection) -> None:
        cohort = self.busy[pipe][1]
        try:
            kind, *details = pipe.recv()
        except (EOFError, ConnectionResetError):
            self._reap(pipe)
            return
        if kind == "notes":
            self.outcome.notes += details[0]
        elif cohort is None:
            raise RuntimeError(f"a worker sent {kind!r} without a cohort")
        elif kind == "full":
            self.full, self.busy[pipe] = details[0], (self.busy[pipe][0], None)
            self.display.end(cohort, "no room on the disk")
            self._stop_workers()
        elif kind == "progress":
            self.display.update(cohort, *details)
        else:
            if kind == "failed":
                self.outcome.failures[cohort.id] = f"{cohort.task} seed {cohort.seed}: {details[0]}"
            elif kind == "elsewhere":
                self.outcome.elsewhere.append(cohort.id)
            self.display.end(cohort, kind)
            self._assign(pipe)

    def _reap(self, pipe: Connection) -> None:
        """Remove a worker that has ended. If it had a cohort, it was killed, and the cohort has failed."""
        process, cohort = self.busy.pop(pipe)
        process.join()
        pipe.close()
        if cohort is None:
            return
        self.display.end(cohort, "killed")
        error = f"its worker ended with code {process.exitcode}"
        self.outcome.failures[cohort.id] = f"{cohort.task} seed {cohort.seed}: {error}; run again to continue"
        ledger = self.context.ledger()
        record_failure(self.context, ledger, cohort, error)
        ledger.close()
        if self.waiting and not self.outcome.stopped:
            self._start_worker()


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Set variables for the processes started inside; a variable that the user has set stays."""
    added = {k: v for k, v in settings.items() if k not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            del os.environ[key]
