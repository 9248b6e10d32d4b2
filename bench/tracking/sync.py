"""From the ledger to W&B, exactly once: what W&B holds is read, what differs is written anew, and all is read again.

A run that differs (half written, killed, of another state of the ledger) is deleted and written under the next
generation of its id. W&B can only append to a run, and what it holds of a half-written one need not be a prefix of the
ledger's rows; a whole run under a new id equals them row by row, and that can be checked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.tracking.runs import Book, CellRun
from bench.tracking.server import Held, Server
from bench.tracking.writer import RunWriter
from bench.train.outputs import explain

PASSES = (0.0, 1.0, 4.0, 10.0)
"""Seconds before each look at what is still wrong; nothing is written after the last one."""

SETTLING = (0.0, 0.5, 2.0)
"""Seconds before each look at what has just been written: W&B may show it a little later."""

SIDE_BY_SIDE = 8
"""Runs that are written or read at once: most of their time is spent waiting for the server."""

KEY = re.compile(r"\b[0-9a-f]{40}\b|wandb_v\d_\w+")


class Batch(NamedTuple):
    """Runs that are compared together, and the filter by which W&B finds them."""

    name: str
    filters: dict[str, Any]
    runs: Sequence[CellRun]


class Wrong(NamedTuple):
    """A run that W&B does not hold as the ledger has it."""

    id: str
    why: str
    run: CellRun | None  # to be written
    generation: int  # the first that may be free
    stale: Sequence[Held]  # to be deleted


@dataclass
class Publisher:
    """Brings batches of runs to W&B.

    Attributes:
        written: Ids of the runs written.
        deleted: Ids of the runs deleted, because they differed.
    """

    directory: Path
    server: Server
    writer: RunWriter
    passes: Sequence[float] = PASSES
    halt: Callable[[], bool] = lambda: False
    written: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    _unread: set[str] = field(default_factory=set)  # ids written here whose rows have not been read back

    def bring(self, batch: Batch) -> dict[str, str]:
        """Make W&B hold exactly the runs of a batch; what still differs in the end, by id, and how."""
        reasons = dict.fromkeys((run.id for run in batch.runs), "not tried")
        with lock(self.directory, batch.name):
            for i, pause in enumerate(self.passes, 1):
                time.sleep(pause)
                try:
                    wrong = self._settled(batch)
                    reasons = {it.id: it.why for it in wrong}
                    if wrong and i < len(self.passes) and not self.halt():
                        reasons |= self._mend(wrong)
                except Exception as error:  # of wandb: many kinds, none of which may end this
                    reasons = dict.fromkeys(reasons, describe_error(error))
                    self.writer.renew()
                if not reasons or self.halt():
                    break
        return reasons

    def _settled(self, batch: Batch) -> list[Wrong]:
        wrong: list[Wrong] = []
        for pause in SETTLING:
            time.sleep(pause)
            wrong = self._wrong(batch)
            if not any(held.id in self._unread for it in wrong for held in it.stale):
                break
        return wrong

    def _wrong(self, batch: Batch) -> list[Wrong]:
        """What differs, in the order of the batch."""
        held: dict[str | None, list[Held]] = {}
        for one in self.server.held(**batch.filters):
            held.setdefault(one.run, []).append(one)
        known = {run.id: run for run in batch.runs}
        pairs = [(one, known[id]) for id, ones in held.items() if id in known for one in ones]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            verdict = dict(zip((one.id for one, _ in pairs), pool.map(self._verdict, pairs), strict=True))
        wrong = []
        for run in batch.runs:
            mine = held.get(run.id, [])
            verdicts = [(one, verdict[one.id]) for one in mine]
            good = [one for one, why in verdicts if why is None][:1]
            self._unread.difference_update(one.id for one in good)
            stale = [one for one in mine if one not in good]
            if stale or not good:
                why = "; ".join(f"{one.id}: {why or 'there twice'}" for one, why in verdicts if one in stale)
                generation = 1 + max((one.generation for one in mine), default=0)
                wrong.append(Wrong(run.id, why or "not there", None if good else run, generation, stale))
        gone = [(id, ones) for id, ones in held.items() if id is not None and id not in known]  # None: not ours
        return wrong + [Wrong(id, "not in the ledger", None, 1, ones) for id, ones in gone]

    def _verdict(self, pair: tuple[Held, CellRun]) -> str | None:
        one, run = pair
        self.halt()  # told of progress
        return one.differs(run, every_row=one.id in self._unread)

    def _mend(self, wrong: Sequence[Wrong]) -> dict[str, str]:
        """Delete and write; why runs could not be written. Given up where all of some runs fail: the server is away."""
        failures: dict[str, str] = {}
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for first in range(0, len(wrong), SIDE_BY_SIDE):
                some = wrong[first : first + SIDE_BY_SIDE]
                if self.halt():
                    break
                failed = {it.id: why for it, why in zip(some, pool.map(self._one, some), strict=True) if why}
                failures |= failed
                if failed:
                    self.writer.renew()
                if len(failed) == len(some):
                    break
        return failures

    def _one(self, it: Wrong) -> str | None:
        """Delete and write one run; why that failed, None if it did not."""
        try:
            for held in it.stale:
                held.delete()
                self.deleted.append(held.id)
            if it.run is not None:
                self._unread.add(name := self.writer.write(it.run, it.generation))
                self.written.append(name)
        except Exception as error:  # as above; the next pass sees what is there
            return describe_error(error)
        return None


def cohort_batch(book: Book, cohort: str) -> Batch:
    """The runs of a finished cohort."""
    return Batch(cohort, {"config.cohort": cohort}, list(book.runs(cohort)))


def scores_batch(plan: str, runs: Sequence[CellRun]) -> Batch:
    """Runs that stand for strategies, not for cells; see `bench/tracking/scores.py`."""
    return Batch(f"scores-{plan}", {"config.plan": plan, "jobType": "scores"}, runs)


def describe_error(error: BaseException) -> str:
    """One line of an error, with no key in it."""
    line = explain(error)
    if key := os.environ.get("WANDB_API_KEY"):
        line = line.replace(key, "***")
    return KEY.sub("***", line)[:300]


@contextlib.contextmanager
def lock(directory: Path, name: str) -> Iterator[Path]:
    """Hold a batch against other publishers of this directory; without, where it cannot be written. The lock's file."""
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
