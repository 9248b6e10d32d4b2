"""One process at work on cohorts: alone, or as one of several workers behind a pipe."""

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

How: TypeAlias = Literal["done", "stopped", "elsewhere"]


@dataclass(frozen=True)
class Site:
    """Where and how cohorts are trained; the same for every worker of a run."""

    directory: Path
    plan: str
    device: str = "cpu"
    threads: int = 1
    cadence: float = 30.0  # seconds between snapshots
    lease: float = leases.LEASE  # seconds
    run: str = ""  # what the processes of this run, and no others, call it
    accelerator: Any = None  # given under --data-parallel: every rank trains every cohort

    @property
    def writes(self) -> bool:
        return self.accelerator is None or self.accelerator.is_main_process

    def ledger(self) -> Ledger:
        return Ledger(self.directory, provenance.describe(self.plan, self.device, self.threads))


def train(cohort: Cohort, site: Site, ledger: Ledger | None, flag: Flag, told: Callable[[int, int], None]) -> How:
    """Train one cohort to its end, unless the flag stops it, with a snapshot written, or another process has it.

    Raises:
        Exception: whatever went wrong; it is in the ledger.
    """
    ours, claim = _claimed(cohort, site, ledger)
    if not ours:
        return "elsewhere"
    try:
        done = _trained(cohort, site, ledger, (flag, claim), told)
        if done:
            failed_cohorts.forget(site.directory, cohort.id)
        return "done" if done else "stopped"
    except Exception as error:
        if claim is not None and not claim.held:  # who took the cohort over may have tidied what this one counted on
            return "elsewhere"
        if ledger is not None and not atomic.full(error):
            fail(site, ledger, cohort, explain(error))
        raise
    finally:
        if claim is not None:
            claim.release()


def _claimed(cohort: Cohort, site: Site, ledger: Ledger | None) -> tuple[bool, leases.Lease | None]:
    """Whether this process, with those beside it, may train a cohort: nobody else has it, nor had it."""
    claim = None
    if ledger is not None and cohort.id not in failed_cohorts.given_up(site.directory, site.run):
        claim = leases.take(site.directory, cohort.id, site.lease)
    if ledger is not None and claim is not None:
        ledger.refresh()
        if (CohortRow.kind, cohort.id) in ledger:
            claim.release()
            claim = None
    return (bool(_strictest(site.accelerator, claim is not None)) if site.accelerator else claim is not None), claim


def _trained(
    cohort: Cohort,
    site: Site,
    ledger: Ledger | None,
    held: tuple[Flag, leases.Lease | None],
    told: Callable[[int, int], None],
) -> bool:
    task = tasks.parse(cohort.task)
    known = {c.schedule: schedules.parse(c.schedule) for c in cohort.cells}
    feed, engine = crew(cohort, task, site)
    desk = TrainingIO(site.directory, ledger, _alone(*held, site.cadence), told)
    if feed.world > 1:
        desk.verdict = _agreed(site.accelerator, desk.verdict)
        desk.begin = partial(_together, site.accelerator, site.directory)
        desk.heartbeat = partial(_renewed, held[1])
    else:
        desk.claim = held[1]
        desk.heartbeat = partial(_heard, *held)
    try:
        return Training(cohort, task, known, engine, feed, desk).run()
    finally:
        feed.close()


def fail(site: Site, ledger: Ledger, cohort: Cohort, error: str) -> None:
    """Record that a cohort failed. The cohort's own row, if it comes to that, supersedes this one."""
    failed_cohorts.give_up(site.directory, cohort.id, site.run, f"{cohort.task} seed {cohort.seed}: {error}")
    ledger.append_another(FailureRow.kind, cohort.id, outputs.failure_row(cohort, error).payload())
    ledger.flush()


def crew(cohort: Cohort, task: Task, site: Site) -> tuple[Loader, Engine]:
    """The feed and the engine of a cohort, one member at its initial weights.

    Raises:
        InputError: an optimizer or a model that the engine or this number of processes cannot train.
    """
    import torch

    from bench import engine
    from bench.engine.loader import Loader

    torch.set_num_threads(cohort.threads)
    torch.use_deterministic_algorithms(True)
    # Kernels write all that they read; those that don't read memory that this never fills anyway: see
    # `bench/engine/wide_convolutions.py`.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    first, team = cohort.cells[0], site.accelerator
    rank, world = (team.process_index, team.num_processes) if team else (0, 1)
    feed = Loader(task, cohort.seed, site.device, rank=rank, world=world)
    return feed, engine.create(cohort.engine, feed, first.optimizer, first.weight_decay, team, cohort.arithmetic)


def _alone(flag: Flag, claim: leases.Lease | None, cadence: float) -> Callable[[int], int]:
    saved = time.monotonic()

    def verdict(step: int) -> int:
        nonlocal saved
        if _heard(flag, claim):
            return STOP
        if time.monotonic() - saved < cadence:
            return GO
        saved = time.monotonic()
        return SAVE

    return verdict


def _heard(flag: Flag, claim: leases.Lease | None) -> bool:
    """Whether a signal came; the lease is renewed on the way.

    Raises:
        LostError: another process has the cohort.
    """
    if claim is not None:
        claim.renew()
    return bool(flag)


def _renewed(claim: leases.Lease | None) -> bool:
    """Processes that share a batch stop, and lose a cohort, at a verdict alone, together."""
    with contextlib.suppress(leases.LostError):
        _heard(Flag(), claim)
    return False


def _agreed(accelerator: Any, mine: Callable[[int], int], every: int = 16) -> Callable[[int], int]:
    """All ranks save and stop at the same step: asked together every few steps, the strictest answer holds."""

    def verdict(step: int) -> int:
        if step % every:
            return GO
        try:
            answer = mine(step)
        except leases.LostError:
            answer = STOP  # the ranks part together
        return _strictest(accelerator, answer)

    return verdict


def _strictest(accelerator: Any, answer: int) -> int:
    import torch

    return int(accelerator.gather(torch.tensor([int(answer)], device=accelerator.device)).max())


def _together(accelerator: Any, directory: Path, step: int) -> None:
    """All ranks begin at the same step, for they have read the same snapshot.

    Raises:
        InputError: they have not.
    """
    import torch

    steps = accelerator.gather(torch.tensor([step], device=accelerator.device)).tolist()
    if len(set(steps)) > 1:
        raise InputError(f"processes found snapshots of steps {steps}: {directory} should be one folder for all nodes")


def worker(pipe: Connection, site: Site) -> None:
    """Train the cohorts that come through the pipe, one at a time, until None comes.

    Tells ("progress", cell-steps, cells), ("done",), ("stopped",), ("elsewhere",), ("failed", reason), or
    ("full", reason) and ends: no other cohort would find room on the disk.
    """
    flag = Flag()
    threading.Thread(target=_follow, args=(flag,), daemon=True).start()
    flag.install()
    ledger = site.ledger()

    def tell(*news: object) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # of its end `_follow` hears
            pipe.send(news)

    while (cohort := _next(pipe)) is not None:
        try:
            tell(train(cohort, site, ledger, flag, partial(tell, "progress")))
        except Exception as error:  # one cohort's failure is recorded and told, and stays its own
            tell("full" if atomic.full(error) else "failed", explain(error))
            if atomic.full(error):
                return
    ledger.close()
    tell("notes", ledger.notes)


def _next(pipe: Connection) -> Cohort | None:
    """The next cohort; None if there is none, or nobody to give one."""
    with contextlib.suppress(EOFError, ConnectionResetError):
        return cast("Cohort | None", pipe.recv())
    return None


def _follow(flag: Flag) -> None:
    """Stop when the run's first process has ended: with a snapshot, or at once if this one was stopping anyway."""
    if run := multiprocessing.parent_process():
        run.join()  # by a pipe: no shell's end is taken for it
    if flag:
        end_at_once()
    flag.signal = signal.SIGTERM
