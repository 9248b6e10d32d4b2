"""One process at work on cohorts: alone, or as one of several workers behind a pipe."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import schedules
import tasks
from bench.contract import Cohort, Engine, Task
from bench.desk import GO, SAVE, STOP, Desk
from bench.loop import Training
from bench.record import attempt
from bench.record.ledger import Ledger
from bench.record.preempt import Flag

if TYPE_CHECKING:
    from bench.engine.feed import Feed


@dataclass(frozen=True)
class Site:
    """Where and how cohorts are trained; the same for every worker of a run."""

    directory: Path
    plan: str
    device: str = "cpu"
    threads: int = 1
    cadence: float = 30.0  # seconds between snapshots
    accelerator: Any = None  # given under --data-parallel: every rank trains every cohort

    @property
    def writes(self) -> bool:
        return self.accelerator is None or self.accelerator.is_main_process

    def ledger(self) -> Ledger:
        return Ledger(self.directory, attempt.describe(self.plan, self.device, self.threads))


def train(cohort: Cohort, site: Site, ledger: Ledger | None, flag: Flag, told: Callable[[int, int], None]) -> bool:
    """Train one cohort to its end; False when the flag stopped it, with a snapshot written."""
    import torch

    torch.set_num_threads(cohort.threads)
    torch.use_deterministic_algorithms(True)
    task = tasks.parse(cohort.task)
    known = {c.schedule: schedules.parse(c.schedule) for c in cohort.cells}
    feed, engine = crew(cohort, task, site)
    verdict = _agreed(site.accelerator, flag, site.cadence) if feed.world > 1 else _alone(flag, site.cadence)
    return Training(cohort, task, known, engine, feed, Desk(site.directory, ledger, verdict, told)).run()


def crew(cohort: Cohort, task: Task, site: Site) -> tuple[Feed, Engine]:
    """The feed and the engine of a cohort, one member at its initial weights.

    Raises:
        InputError: an optimizer or a model that the engine or this number of processes cannot train.
    """
    from bench import engine
    from bench.engine.feed import Feed

    rank, world = (site.accelerator.process_index, site.accelerator.num_processes) if site.accelerator else (0, 1)
    feed = Feed(task, cohort.seed, site.device, rank=rank, world=world)
    first = cohort.cells[0]
    return feed, engine.create(cohort.engine, feed, first.optimizer, first.weight_decay, site.accelerator)


def _alone(flag: Flag, cadence: float) -> Callable[[int], int]:
    saved, parent = time.monotonic(), os.getppid()

    def verdict(step: int) -> int:
        nonlocal saved
        if flag or os.getppid() != parent:  # an orphan has no one left to report to
            return STOP
        if time.monotonic() - saved < cadence:
            return GO
        saved = time.monotonic()
        return SAVE

    return verdict


def _agreed(accelerator: Any, flag: Flag, cadence: float, every: int = 16) -> Callable[[int], int]:
    """All ranks save and stop at the same step: asked together every few steps, the strictest answer holds."""
    import torch

    mine = _alone(flag, cadence)

    def verdict(step: int) -> int:
        if step % every:
            return GO
        answer = torch.tensor([mine(step)], device=accelerator.device)
        return int(accelerator.gather(answer).max())

    return verdict


def worker(pipe: Connection, site: Site) -> None:
    """Train the cohorts that come through the pipe, one at a time, until None comes.

    Tells ("progress", cell-steps, cells), ("done",), ("stopped",) or ("failed", reason).
    """
    flag = Flag().install()
    ledger = site.ledger()
    while (cohort := pipe.recv()) is not None:
        try:
            ended = train(cohort, site, ledger, flag, lambda *news: pipe.send(("progress", *news)))
            pipe.send(("done",) if ended else ("stopped",))
        except (BrokenPipeError, EOFError):
            return
        except Exception as error:  # one cohort's failure is recorded and told, and stays its own
            pipe.send(("failed", explain(error)))
    ledger.close()
    pipe.send(("notes", ledger.notes))


def explain(error: BaseException) -> str:
    """One line that says what went wrong."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
