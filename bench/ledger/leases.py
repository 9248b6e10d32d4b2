"""Leases on cohorts, so that processes that share a run's directory don't train the same cohort.

Leases only save work; correctness does not depend on them. Two processes that train one cohort write equal rows, each
to its own part, and neither can damage the files that the other relies on. So a lease may be wrong: if two processes
hold it, time is wasted; if its holder is gone, others wait until it expires.

A lease is a file `claims/COHORT.N`, and the highest N counts. An expired lease is taken over by creating N + 1, which
succeeds for one process only. The holder touches its file. If the file is gone, or there is one with a higher number,
the holder has lost the cohort and writes nothing more for it. The lease that follows an expired one is twice as long;
otherwise two processes that cannot renew in time would take the cohort from each other for ever.

A holder on this machine is checked at once: has its process ended? The same goes for a holder in an earlier run of this
SLURM job, because a requeued job never runs twice at the same time.

Assumptions about the file system, which NFS meets from version 3 on, whatever its lock service does:

- exclusive creation of a file succeeds for one process only, across all hosts;
- opening a file and listing a folder show what others had closed by then (close-to-open consistency);
- one clock, the server's, sets the times of files. An age is the difference between the times of a file touched now
  and of the lease, so the clocks of hosts are never compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ledger import paths
from bench.ledger.machine import machine, started, variable

LEASE = 300.0
"""Seconds until a lease expires that is not renewed; its holder renews it five times as often.

The training thread renews it between batches and between chunks of an evaluation. A process without progress for that
long hangs, and should lose the cohort.
"""


class LostError(RuntimeError):
    """The lease ran out, and another process has taken the cohort over."""


@dataclass(frozen=True)
class Holder:
    """A lease as other processes see it."""

    cohort: str
    number: int  # of takeovers of the cohort
    host: str
    process: int
    age: float  # seconds since it was renewed
    seconds: float  # length of the lease
    ended: bool  # its process ran on this machine and has ended, or ran in this job before it was requeued

    @property
    def standing(self) -> bool:
        return not self.ended and self.age < self.seconds


class Lease:
    """A lease that this process holds on a cohort; `text` is the content of its file."""

    def __init__(self, path: Path, text: bytes, seconds: float):
        self.path, self.text, self.seconds = path, text, seconds
        self._renewed = time.monotonic()

    def renew(self) -> None:
        """Extend the lease if a fifth of it has passed; cheap otherwise.

        Raises:
            LostError: another process has the cohort.
        """
        if time.monotonic() - self._renewed < self.seconds / 5:
            return
        self.check()
        self._renewed = time.monotonic()

    def check(self) -> None:
        """Touch the file of the lease if this process still holds it.

        Raises:
            LostError: another process has the cohort.
        """
        if not self.is_current:
            cohort = self.path.name.rpartition(".")[0]
            raise LostError(f"cohort {cohort} was not renewed for {self.seconds:g} s, and another process took it over")
        _touch(self.path)

    @property
    def is_current(self) -> bool:
        """True while this process has the cohort."""
        cohort, _, number = self.path.name.rpartition(".")
        newest = max((n for name, n in _files(self.path.parent) if name == cohort), default=None)
        try:
            return newest == int(number) and self.path.read_bytes() == self.text
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Free the cohort for others."""
        if self.is_current:
            self.path.unlink(missing_ok=True)


def take(directory: Path, cohort: str, seconds: float = LEASE) -> Lease | None:
    """Take a lease on a cohort of the run in `directory`; None while another process holds one.

    Raises:
        OSError: the directory cannot be written.
    """
    folder = paths.leases(directory)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [number for name, number in _files(folder) if name == cohort]
    holders = _holders(folder, cohort)
    if any(holder.standing for holder in holders):
        return None
    seconds = max([seconds, *(2 * holder.seconds for holder in holders if not holder.ended)])
    path = folder / f"{cohort}.{max(numbers, default=-1) + 1}"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return None
    text = json.dumps(_this_process() | {"seconds": seconds, "mark": secrets.token_hex(4)}).encode()
    try:
        os.write(file, text)
        _touch(path)  # an exclusive creation may leave any time on NFS
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    for number in numbers:
        (folder / f"{cohort}.{number}").unlink(missing_ok=True)
    return Lease(path, text, seconds)


def standing(directory: Path) -> dict[str, Holder]:
    """Holders of the leases of a run that are in force now, by cohort."""
    return {holder.cohort: holder for holder in _holders(paths.leases(directory)) if holder.standing}


class LeaseWatch:
    """The leases of a run as a waiting process sees them: it only reads, however often it looks.

    Reading the server's clock would take writing a file. So the age of a lease is the time, by this process's clock,
    since its file was last seen to change. That may be less than its true age, which `take` determines.
    """

    def __init__(self, directory: Path):
        self._folder = paths.leases(directory)
        # By cohort and number: the file's time, and when this process first read it.
        self._renewals: dict[tuple[str, int], tuple[float, float]] = {}

    def standing(self) -> set[str]:
        """Cohorts with a lease in force."""
        now = time.monotonic()
        renewals, cohorts = dict[tuple[str, int], tuple[float, float]](), set[str]()
        for cohort, number in _files(self._folder):
            holder = _holder(self._folder, cohort, number, 0.0)
            if holder is None:
                continue
            renewed = -holder.age  # for the age was taken at time 0
            last, since = self._renewals.get((cohort, number), (None, now))
            if renewed != last:
                since = now
            renewals[cohort, number] = renewed, since
            if not holder.ended and now - since < holder.seconds:
                cohorts.add(cohort)
        self._renewals = renewals
        return cohorts


def _touch(path: Path) -> None:
    """Set the time of a file to the server's."""
    os.utime(path)


def _files(folder: Path) -> list[tuple[str, int]]:
    """(cohort, number) of every lease."""
    names = (path.name.rpartition(".") for path in folder.iterdir()) if folder.is_dir() else ()
    return [(cohort, int(number)) for cohort, _, number in names if cohort and number.isdecimal()]


def _holders(folder: Path, cohort: str | None = None) -> list[Holder]:
    """Every lease on a cohort, or on any."""
    files = [(name, number) for name, number in _files(folder) if cohort in (None, name)]
    if not files:
        return []
    now = _now(folder)
    holders = (_holder(folder, name, number, now) for name, number in files)
    return [holder for holder in holders if holder is not None]


def _holder(folder: Path, cohort: str, number: int, now: float) -> Holder | None:
    """Holder of a lease; None if it was released just now. While its file is not yet written, its host is "?"."""
    try:
        with (folder / f"{cohort}.{number}").open("rb") as file:  # NFS updates the file's time on opening
            text, touched = file.read(), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None
    try:
        process = json.loads(text)
    except ValueError:
        process = {}
    return Holder(
        cohort=cohort,
        number=number,
        host=process.get("host", "?"),
        process=process.get("process", 0),
        age=now - touched,
        seconds=process.get("seconds", LEASE),
        ended=_ended(process) or _requeued_since(process.get("job")),
    )


def _now(folder: Path) -> float:
    """Current time by the clock of the file system."""
    path = folder / f"now-{secrets.token_hex(4)}"
    try:
        with path.open("wb") as file:
            os.utime(path)
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # without permission to write, this host's clock is the best there is
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _ended(process: Mapping[str, Any]) -> bool:
    """True if a process of this machine has ended; False for other machines. Its number may be in use again."""
    return process.get("machine") == machine() and started(process["process"]) != process["started"]


def _this_process() -> dict[str, object]:
    process = os.getpid()
    return {
        "host": socket.gethostname(),
        "process": process,
        "started": started(process),
        "machine": machine(),
        "job": _job(),
    }


def _job() -> tuple[str, int] | None:
    """The SLURM job of this process and the number of times that it was requeued; None outside SLURM."""
    if "SLURM_JOB_ID" not in os.environ:
        return None
    job = f"{os.environ.get('SLURM_CLUSTER_NAME', '')} {os.environ['SLURM_JOB_ID']}"
    return job, variable("SLURM_RESTART_COUNT", 0)


def _requeued_since(job: Sequence[Any] | None) -> bool:
    """True if a holder ran in this process's job, before it was requeued."""
    own = _job()
    return job is not None and own is not None and job[0] == own[0] and job[1] < own[1]
