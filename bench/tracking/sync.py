"""From the ledger to W&B, exactly once: read W&B's runs, write those that differ again, and read all of them again.

A run that differs (half written, killed, from another state of the ledger) is deleted and written under the next
generation of its id. W&B can only append to a run, and the rows of a half-written run need not be a prefix of the
ledger's; a whole run under a new id equals them row by row, which can be checked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.tracking.runs import CellRun, CohortIndex
from bench.tracking.server import Server, ServerRun
from bench.tracking.writer import RunWriter
from bench.train.outputs import explain

PASSES = (0.0, 1.0, 4.0, 10.0)
"""Seconds before each pass, which compares and then writes; the last pass only compares."""

SETTLING = (0.0, 0.5, 2.0)
"""Seconds before each read of runs just written, which W&B may show with a short delay."""

PARALLEL = 8
"""Runs written or read at a time: most of their time is spent waiting for the server."""

KEY = re.compile(r"\b[0-9a-f]{40}\b|wandb_v\d_\w+")


class Batch(NamedTuple):
    """Runs that are compared together, and the filters by which W&B finds them."""

    name: str
    filters: dict[str, Any]
    runs: Sequence[CellRun]


class Discrepancy(NamedTuple):
    """A run that differs between W&B and the ledger."""

    id: str
    reason: str
    run: CellRun | None  # to write
    generation: int  # the first that may be free
    stale: Sequence[ServerRun]  # to delete


@dataclass
class Publisher:
    """Brings batches of runs to W&B.

    Attributes:
        written_ids: Ids of the runs written.
        deleted_ids: Ids of the runs deleted, because they differed.
    """

    directory: Path
    server: Server
    writer: RunWriter
    passes: Sequence[float] = PASSES
    halt: Callable[[], bool] = lambda: False
    written_ids: list[str] = field(default_factory=list)
    deleted_ids: list[str] = field(default_factory=list)
    _unread: set[str] = field(default_factory=set)  # ids written by this publisher and not read back yet

    def bring(self, batch: Batch) -> dict[str, str]:
        """Make W&B hold exactly the runs of a batch; return, by id, how runs still differ in the end."""
        reasons = dict.fromkeys((run.id for run in batch.runs), "not tried")
        with lock(self.directory, batch.name):
            for i, pause in enumerate(self.passes, 1):
                time.sleep(pause)
                try:
                    discrepancies = self._settle(batch)
                    reasons = {discrepancy.id: discrepancy.reason for discrepancy in discrepancies}
                    if discrepancies and i < len(self.passes) and not self.halt():
                        reasons |= self._mend(discrepancies)
                except Exception as error:  # wandb raises many kinds, none of which may end the passes
                    reasons = dict.fromkeys(reasons, describe_error(error))
                    self.writer.renew()
                if not reasons or self.halt():
                    break
        return reasons

    def _settle(self, batch: Batch) -> list[Discrepancy]:
        """Discrepancies after runs just written have had time to appear."""
        discrepancies: list[Discrepancy] = []
        for pause in SETTLING:
            time.sleep(pause)
            discrepancies = self._compare(batch)
            stale_ids = {run.id for discrepancy in discrepancies for run in discrepancy.stale}
            if self._unread.isdisjoint(stale_ids):
                break
        return discrepancies

    def _compare(self, batch: Batch) -> list[Discrepancy]:
        """Discrepancies of a batch: first its own runs in their order, then runs that are not in the ledger."""
        by_run: dict[str | None, list[ServerRun]] = {}
        for server_run in self.server.runs(**batch.filters):
            by_run.setdefault(server_run.run, []).append(server_run)
        differences = self._differences(batch, by_run)
        discrepancies = []
        for run in batch.runs:
            copies = by_run.get(run.id, [])
            good = [copy for copy in copies if differences[copy.id] is None][:1]
            self._unread.difference_update(copy.id for copy in good)
            stale = [copy for copy in copies if copy not in good]
            if stale or not good:
                reason = "; ".join(f"{copy.id}: {differences[copy.id] or 'there twice'}" for copy in stale)
                generation = 1 + max((copy.generation for copy in copies), default=0)
                missing = None if good else run
                discrepancies.append(Discrepancy(run.id, reason or "not there", missing, generation, stale))
        run_ids = {run.id for run in batch.runs}
        for id, copies in by_run.items():
            if id is not None and id not in run_ids:  # None: not written by this project
                discrepancies.append(Discrepancy(id, "not in the ledger", None, 1, copies))
        return discrepancies

    def _differences(self, batch: Batch, by_run: Mapping[str | None, Sequence[ServerRun]]) -> dict[str, str | None]:
        """Difference of each of W&B's runs from the batch, by id; None for a run that equals the ledger's."""
        runs = {run.id: run for run in batch.runs}
        pairs = [(copy, runs[id]) for id, copies in by_run.items() if id in runs for copy in copies]
        with ThreadPoolExecutor(PARALLEL) as pool:
            return dict(zip((copy.id for copy, _ in pairs), pool.map(self._difference, pairs), strict=True))

    def _difference(self, pair: tuple[ServerRun, CellRun]) -> str | None:
        server_run, run = pair
        self.halt()  # reports progress
        return server_run.differs(run, every_row=server_run.id in self._unread)

    def _mend(self, discrepancies: Sequence[Discrepancy]) -> dict[str, str]:
        """Delete and write runs; return, by id, why some could not be written.

        Give up once all runs of a group fail: the server is out of reach.
        """
        failures: dict[str, str] = {}
        with ThreadPoolExecutor(PARALLEL) as pool:
            for first in range(0, len(discrepancies), PARALLEL):
                group = discrepancies[first : first + PARALLEL]
                if self.halt():
                    break
                reasons = zip(group, pool.map(self._replace, group), strict=True)
                failed = {discrepancy.id: reason for discrepancy, reason in reasons if reason}
                failures |= failed
                if failed:
                    self.writer.renew()
                if len(failed) == len(group):
                    break
        return failures

    def _replace(self, discrepancy: Discrepancy) -> str | None:
        """Delete the stale runs and write the missing one; return why that failed, None if it did not."""
        try:
            for server_run in discrepancy.stale:
                server_run.delete()
                self.deleted_ids.append(server_run.id)
            if discrepancy.run is not None:
                self._unread.add(name := self.writer.write(discrepancy.run, discrepancy.generation))
                self.written_ids.append(name)
        except Exception as error:  # of many kinds, too; the next pass compares again
            return describe_error(error)
        return None


def cohort_batch(book: CohortIndex, cohort: str) -> Batch:
    """The runs of a finished cohort."""
    return Batch(cohort, {"config.cohort": cohort}, list(book.runs(cohort)))


def scores_batch(plan: str, runs: Sequence[CellRun]) -> Batch:
    """Runs of strategies' scores; see `bench/tracking/scores.py`."""
    return Batch(f"scores-{plan}", {"config.plan": plan, "jobType": "scores"}, runs)


def describe_error(error: BaseException) -> str:
    """Describe an error in one line, with any key hidden."""
    line = explain(error)
    if key := os.environ.get("WANDB_API_KEY"):
        line = line.replace(key, "***")
    return KEY.sub("***", line)[:300]


@contextlib.contextmanager
def lock(directory: Path, name: str) -> Iterator[Path]:
    """Lock a batch against other publishers of this directory; yield the lock's file.

    If the directory cannot be written, there is no lock.
    """
    path = directory / "wandb" / "batches" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        yield path
        return
    with file:
        yield path
