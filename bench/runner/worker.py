"""Training of cohorts in one process: the run's own, or a worker process that is sent cohorts through a pipe."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import schedules
import tasks
from bench.contract import Cohort, Engine, InputError, Task
from bench.ledger import atomic, failed_cohorts, leases, provenance
from bench.ledger.ledger import Ledger
from bench.ledger.rows import CohortRow, FailureRow
from bench.preempt import Flag, end_at_once
from bench.train import outputs
from bench.train.io import GO, SAVE, STOP, TrainingIO
from bench.train.loop import Training
from bench.train.outputs import explain

if TYPE_CHECKING:
    from bench.engine.loader import Loader

Ending: TypeAlias = Literal["done", "stopped", "elsewhere"]


@dataclass(frozen=True)
class WorkerContext:
    """Settings for training cohorts that all workers of a run share."""

    directory: Path
    plan: str  # id
    device: str = "cpu"
    threads: int = 1
    cadence: float = 30.0  # seconds between checkpoints
    lease_seconds: float = leases.LEASE
    run: str = ""  # an id that all processes of this run share, and no other run has
    accelerator: Any = None  # set under --data-parallel, where every rank trains every cohort
    keep: bool = False  # whether final weights are kept
    task: Task | None = None  # trained in this process, in place of the one that a cohort's text names

    @property
    def writes(self) -> bool:
        return self.accelerator is None or self.accelerator.is_main_process

    def ledger(self) -> Ledger:
        return Ledger(self.directory, provenance.describe(self.plan, self.device, self.threads))


def train(
    cohort: Cohort, context: WorkerContext, ledger: Ledger | None, flag: Flag, report: Callable[[int, int], None]
) -> Ending:
    """Train one cohort to its end.

    Args:
        cohort: The cohort.
        context: Settings of the run.
        ledger: Rows are written to it; None on ranks that do not write.
        flag: Training stops once it is raised.
        report: Called at evaluations with (cell-steps, finished cells), both so far.

    Returns:
        "done"; "stopped" if the flag was raised, with a checkpoint written; "elsewhere" if another process has the
        cohort or had it.

    Raises:
        Exception: anything that went wrong in training; it is recorded in the ledger.
    """
    acquired, lease = _acquire(cohort, context, ledger)
    if not acquired:
        return "elsewhere"
    try:
        finished = _train_acquired(cohort, context, ledger, flag, lease, report)
        if finished:
            failed_cohorts.forget(context.directory, cohort.id)
        return "done" if finished else "stopped"
    except Exception as error:
        # A process that took the cohort over may have removed files that this one relied on.
        if lease is not None and not lease.is_current:
            return "elsewhere"
        if ledger is not None and not atomic.full(error):
            record_failure(context, ledger, cohort, explain(error))
        raise
    finally:
        if lease is not None:
            lease.release()


def _acquire(cohort: Cohort, context: WorkerContext, ledger: Ledger | None) -> tuple[bool, leases.Lease | None]:
    """Take the lease on a cohort that no other process is training or has finished.

    Returns:
        (may this process train the cohort, the lease). Under --data-parallel one rank holds the lease for all.
    """
    lease = None
    if ledger is not None and cohort.id not in failed_cohorts.given_up(context.directory, context.run):
        lease = leases.take(context.directory, cohort.id, context.lease_seconds)
    if ledger is not None and lease is not None:
        ledger.refresh()
        if (CohortRow.kind, cohort.id) in ledger:
            lease.release()
            lease = None
    if context.accelerator:
        return bool(_max_over_ranks(context.accelerator, lease is not None)), lease
    return lease is not None, lease


def _train_acquired(
    cohort: Cohort,
    context: WorkerContext,
    ledger: Ledger | None,
    flag: Flag,
    lease: leases.Lease | None,
    report: Callable[[int, int], None],
) -> bool:
    """Train a cohort whose lease was acquired; False if it was stopped before its end."""
    task = context.task or tasks.parse(cohort.task)
    cohort_schedules = {c.schedule: schedules.parse(c.schedule) for c in cohort.cells}
    loader, engine = build_engine(cohort, task, context)
    verdict = _process_verdict(flag, lease, context.cadence)
    io = TrainingIO(context.directory, ledger, verdict, report, keep=context.keep)
    if loader.world > 1:
        io.verdict = _group_verdict(context.accelerator, io.verdict)
        io.begin = partial(_check_equal_steps, context.accelerator, context.directory)
        io.heartbeat = partial(_renew, lease)
    else:
        io.lease = lease
        io.heartbeat = partial(_must_stop, flag, lease)
    try:
        return Training(cohort, task, cohort_schedules, engine, loader, io).run()
    finally:
        loader.close()


def record_failure(context: WorkerContext, ledger: Ledger, cohort: Cohort, error: str) -> None:
    """Record that a cohort failed. A later row of the finished cohort supersedes this record."""
    failed_cohorts.give_up(context.directory, cohort.id, context.run, f"{cohort.task} seed {cohort.seed}: {error}")
    ledger.append_another(FailureRow.kind, cohort.id, outputs.failure_row(cohort, error).payload())
    ledger.flush()


def build_engine(cohort: Cohort, task: Task, context: WorkerContext) -> tuple[Loader, Engine]:
    """Build the loader and the engine of a cohort, with one member at its initial weights.

    Raises:
        InputError: an optimizer or a model that the engine or this number of processes cannot train.
    """
    import torch

    from bench import engine
    from bench.engine.loader import Loader

    torch.set_num_threads(cohort.threads)
    torch.use_deterministic_algorithms(True)
    # Kernels write all that they read, except some that read memory which this setting does not fill either: see
    # `bench/engine/wide_convolutions.py`.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    first, accelerator = cohort.cells[0], context.accelerator
    rank, world = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    loader = Loader(task, cohort.seed, context.device, rank=rank, world=world)
    return loader, engine.create(
        cohort.engine, loader, first.optimizer, first.weight_decay, accelerator, cohort.arithmetic
    )


def _process_verdict(flag: Flag, lease: leases.Lease | None, cadence: float) -> Callable[[int], int]:
    """The verdict of one process: stop once the flag is raised, save every `cadence` seconds."""
    saved = time.monotonic()

    def verdict(step: int) -> int:
        nonlocal saved
        if _must_stop(flag, lease):
            return STOP
        if time.monotonic() - saved < cadence:
            return GO
        saved = time.monotonic()
        return SAVE

    return verdict


def _must_stop(flag: Flag, lease: leases.Lease | None) -> bool:
    """Renew the lease; True if a signal came.

    Raises:
        LostError: another process has the cohort.
    """
    if lease is not None:
        lease.renew()
    return bool(flag)


def _renew(lease: leases.Lease | None) -> bool:
    """Renew the lease; always False, since processes that share a batch stop together, at a verdict alone."""
    with contextlib.suppress(leases.LostError):
        _must_stop(Flag(), lease)
    return False


def _group_verdict(accelerator: Any, own: Callable[[int], int], every: int = 16) -> Callable[[int], int]:
    """The strictest of all ranks' verdicts, gathered every few steps, so that all save and stop at the same step."""

    def verdict(step: int) -> int:
        if step % every:
            return GO
        try:
            answer = own(step)
        except leases.LostError:
            answer = STOP  # all ranks leave the cohort together
        return _max_over_ranks(accelerator, answer)

    return verdict


def _max_over_ranks(accelerator: Any, number: int) -> int:
    import torch

    return int(accelerator.gather(torch.tensor([int(number)], device=accelerator.device)).max())


def _check_equal_steps(accelerator: Any, directory: Path, step: int) -> None:
    """Check that all ranks begin at the same step, that is, have read the same checkpoint.

    Raises:
        InputError: they have not.
    """
    import torch

    steps = accelerator.gather(torch.tensor([step], device=accelerator.device)).tolist()
    if len(set(steps)) > 1:
        raise InputError(f"processes found snapshots of steps {steps}: {directory} should be one folder for all nodes")


def worker_main(pipe: Connection, context: WorkerContext) -> None:
    """Train the cohorts that come through the pipe, one at a time, until None comes.

    Sends ("progress", cell-steps, cells), ("done",), ("stopped",), ("elsewhere",) and ("failed", reason) for a cohort,
    and ("notes", lines) at the end. After ("full", reason) the process ends, for the disk has no room for any cohort.
    """
    flag = Flag()
    threading.Thread(target=_stop_with_parent, args=(flag,), daemon=True).start()
    flag.install()
    ledger = context.ledger()

    def send(*message: object) -> None:
        # That the run's first process has ended is noticed by `_stop_with_parent`.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            pipe.send(message)

    while (cohort := _next_cohort(pipe)) is not None:
        try:
            send(train(cohort, context, ledger, flag, partial(send, "progress")))
        except Exception as error:  # a cohort's failure is recorded and sent, and other cohorts are trained
            send("full" if atomic.full(error) else "failed", explain(error))
            if atomic.full(error):
                return
    ledger.close()
    send("notes", ledger.notes)


def _next_cohort(pipe: Connection) -> Cohort | None:
    """The next cohort; None if there is none, or the process that sends them has ended."""
    with contextlib.suppress(EOFError, ConnectionResetError):
        return cast("Cohort | None", pipe.recv())
    return None


def _stop_with_parent(flag: Flag) -> None:
    """Raise the flag when the run's first process has ended; if it is raised by then, end at once."""
    if parent := multiprocessing.parent_process():
        parent.join()  # by a pipe, so that the end of a shell is not mistaken for the run's
    if flag:
        end_at_once()
    flag.signal = signal.SIGTERM
