"""Who trains what: leases on cohorts, so that runs that share a directory leave each other's work alone.

Claims only save work. Nothing is correct because of them: two processes that train one cohort write equal rows, each
to a part of its own, and neither can tear what the other relies on. So a claim may be wrong: given twice it costs
time, and left behind it is waited for until its lease expires.

A claim is a file `claims/COHORT.N`, and the highest N counts. To take over an expired claim is to create N + 1, which
one of several takers can. The holder touches its file; one who finds it gone, or a higher one beside it, has lost the
cohort and writes nothing more for it. The lease that follows an expired one is twice as long, so that two processes
with more to do between two renewals than a lease allows don't take a cohort from each other for ever. Of a holder on
this machine it is known at once whether its process has ended; so it is of one of an earlier run of this SLURM job, for
a job that was requeued runs once at a time.

Assumed of the file system (NFS from version 3 on keeps it, whatever its lock service does):

- creating a file exclusively succeeds for one process alone, on all hosts;
- opening a file and listing a folder show what others had closed by then (close-to-open consistency);
- times of files are set by one clock, the server's. An age is the difference of two of its times, that of a file
  touched now and that of the claim, so clocks of hosts are never compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ledger import paths
from bench.ledger.machine import machine, started

LEASE = 300.0
"""Seconds after which a claim that nobody renewed is free; its holder renews it five times as often.

It is renewed between batches and chunks of an evaluation, by the thread that trains: who makes no progress for that
long has hung, and shall lose the cohort.
"""


class LostError(RuntimeError):
    """The lease ran out, and another process has taken the cohort over."""


@dataclass(frozen=True)
class Holder:
    """A claim as others see it."""

    cohort: str
    number: int  # how often the cohort was taken over
    host: str
    process: int
    age: float  # seconds since it was renewed
    seconds: float  # the length of its lease
    ended: bool  # its process ran on this machine and is no more, or in this job before it was requeued

    @property
    def standing(self) -> bool:
        return not self.ended and self.age < self.seconds


class Lease:
    """A lease that this process holds on a cohort; `said` is what its file holds."""

    def __init__(self, path: Path, said: bytes, seconds: float):
        self.path, self.said, self.seconds = path, said, seconds
        self._renewed = time.monotonic()

    def renew(self) -> None:
        """Extend the lease, if a fifth of it has passed; costs next to nothing otherwise.

        Raises:
            LostError: another process has the cohort.
        """
        if time.monotonic() - self._renewed < self.seconds / 5:
            return
        self.check()
        self._renewed = time.monotonic()

    def check(self) -> None:
        """Touch the claim, if it still is ours.

        Raises:
            LostError: another process has the cohort.
        """
        if not self.held:
            cohort = self.path.name.rpartition(".")[0]
            raise LostError(f"cohort {cohort} was not renewed for {self.seconds:g} s, and another process took it over")
        _touch(self.path)

    @property
    def held(self) -> bool:
        """Whether nobody has taken the cohort over."""
        cohort, _, number = self.path.name.rpartition(".")
        newest = max((n for name, n in _files(self.path.parent) if name == cohort), default=None)
        try:
            return newest == int(number) and self.path.read_bytes() == self.said
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let others have the cohort."""
        if self.held:
            self.path.unlink(missing_ok=True)


def take(directory: Path, cohort: str, seconds: float = LEASE) -> Lease | None:
    """Claim a cohort of the run in `directory`; None while somebody else's claim stands.

    Raises:
        OSError: the directory cannot be written.
    """
    folder = paths.leases(directory)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [number for name, number in _files(folder) if name == cohort]
    holders = _holders(folder, cohort)
    if any(it.standing for it in holders):
        return None
    seconds = max([seconds, *(2 * it.seconds for it in holders if not it.ended)])
    path = folder / f"{cohort}.{max(numbers, default=-1) + 1}"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return None
    said = json.dumps(_this_process() | {"seconds": seconds, "mark": secrets.token_hex(4)}).encode()
    try:
        os.write(file, said)
        _touch(path)  # an exclusive creation may leave any time on NFS
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    for number in numbers:
        (folder / f"{cohort}.{number}").unlink(missing_ok=True)
    return Lease(path, said, seconds)


def standing(directory: Path) -> dict[str, Holder]:
    """The claims of a run that stand now, by cohort."""
    return {it.cohort: it for it in _holders(paths.leases(directory)) if it.standing}


class LeaseWatch:
    """The claims of a run as one who waits sees them: by reading alone, however often.

    A claim's age is how long its time has stood still under our eyes, by our own clock, so that no file is written to
    learn the server's. It may be younger than the claim is: a taker asks the server.
    """

    def __init__(self, directory: Path):
        self._folder = paths.leases(directory)
        self._seen: dict[tuple[str, int], tuple[float, float]] = {}  # when a claim was renewed, and when we saw that

    def standing(self) -> set[str]:
        """Cohorts with a claim that stands."""
        now, known, self._seen = time.monotonic(), self._seen, {}
        holders = [it for name, number in _files(self._folder) if (it := _holder(self._folder, name, number, 0.0))]
        for it in holders:
            renewed, since = known.get((it.cohort, it.number), (None, now))
            self._seen[it.cohort, it.number] = -it.age, since if renewed == -it.age else now
        return {it.cohort for it in holders if not it.ended and now - self._seen[it.cohort, it.number][1] < it.seconds}


def _touch(path: Path) -> None:
    """Have the server stamp a file with its time."""
    os.utime(path)


def _files(folder: Path) -> list[tuple[str, int]]:
    """(cohort, number) of every claim."""
    names = (path.name.rpartition(".") for path in folder.iterdir()) if folder.is_dir() else ()
    return [(cohort, int(number)) for cohort, _, number in names if cohort and number.isdecimal()]


def _holders(folder: Path, cohort: str | None = None) -> list[Holder]:
    """Every claim of a cohort, or of all."""
    files = [it for it in _files(folder) if cohort in (None, it[0])]
    if not files:
        return []
    now = _now(folder)
    return [it for name, number in files if (it := _holder(folder, name, number, now))]


def _holder(folder: Path, cohort: str, number: int, now: float) -> Holder | None:
    """Whose claim this is; None when it was released just now. One whose holder is not yet written is nobody's."""
    try:
        with (folder / f"{cohort}.{number}").open("rb") as file:  # opening is what makes its time current on NFS
            text, touched = file.read(), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    return Holder(
        cohort=cohort,
        number=number,
        host=said.get("host", "?"),
        process=said.get("process", 0),
        age=now - touched,
        seconds=said.get("seconds", LEASE),
        ended=(said.get("machine") == machine() and started(said["process"]) != said["started"])
        or _requeued_since(said.get("job")),
    )


def _now(folder: Path) -> float:
    """Now, by the clock that stamps files there."""
    path = folder / f"now-{secrets.token_hex(4)}"
    try:
        with path.open("wb") as file:
            os.utime(path)
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # one who may only look has no better clock than its own
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


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
    """The SLURM job that this process is of, and how often it was requeued."""
    said = os.environ
    if "SLURM_JOB_ID" not in said:
        return None
    return f"{said.get('SLURM_CLUSTER_NAME', '')} {said['SLURM_JOB_ID']}", int(said.get("SLURM_RESTART_COUNT", 0))


def _requeued_since(job: Sequence[Any] | None) -> bool:
    """Whether a holder's job is ours, and was requeued since."""
    ours = _job()
    return job is not None and ours is not None and job[0] == ours[0] and job[1] < ours[1]
