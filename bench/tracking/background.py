"""The mirror beside a run: a process of its own that follows the ledger, so that training neither waits nor fails."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from netrc import NetrcParseError, netrc
from pathlib import Path
from threading import Lock
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from bench.contract import InputError
from bench.ledger import paths
from bench.preempt import SIGNALS, hold_signals
from bench.tracking.runs import Book, CellRun
from bench.tracking.server import Server
from bench.tracking.sync import Publisher, cohort_batch, describe_error, lock
from bench.tracking.writer import RunWriter

Mode: TypeAlias = Literal["offline", "online"]
Bring: TypeAlias = Callable[[Book, str], dict[str, str]]

POLL = 1.0
"""Seconds between looks at the ledger, at least; reading it takes a twentieth of the time at most."""

PASSES = (0.0, 1.0)
"""As in the publisher, but with less patience: a cohort is tried again later."""

QUIET, STOPPED, START = 60.0, 5.0, 120.0
"""Seconds without news after which the run ends without its mirror: at its end, when preempted, at its beginning."""


class BackgroundTracker:
    """The handle that a run has of its mirror.

    The process gets a session of its own: a signal to the run's group, such as Ctrl-C, does not end wandb's service
    in the middle of a run. Where one does (SLURM signals every process), `glideslope publish` mends what is left.

    Raises:
        InputError: online, and no key is configured.
    """

    def __init__(self, directory: Path, mode: Mode, cohorts: Collection[str]):
        self.directory, self.mode = directory, mode
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=follow, args=(theirs, directory, mode, frozenset(cohorts)), daemon=True)
        with hold_signals():
            self.process.start()
        theirs.close()
        if mode == "online" and not key_in_sight() and self.pipe.poll(START):  # only a missing key is worth a wait
            with contextlib.suppress(EOFError):
                if refused := self.pipe.recv():
                    raise InputError(refused)

    def end(self, stopped: Callable[[], bool]) -> str:
        """Let it finish while it makes progress, for seconds only once `stopped`; the line to end the run with."""
        try:
            left, why = self._wait(stopped)
        except (EOFError, OSError):
            left, why = None, "it was killed"
        with contextlib.suppress(ProcessLookupError, PermissionError):  # with wandb's service, if it still runs
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.join()
        publish = f"glideslope publish {self.directory}"
        if left:
            return f"W&B: the runs of {left} cells are not there yet ({why}). To bring them up: {publish}"
        if left is None:
            return f"W&B: the mirror did not finish ({why}). To bring up what is missing: {publish}"
        where = (
            f"offline in {self.directory / 'wandb'}. To publish them" if self.mode == "offline" else "online. Report"
        )
        return f"W&B: all runs are {where}: {publish}{' --report' * (self.mode == 'online')}"

    def _wait(self, stopped: Callable[[], bool]) -> tuple[int | None, str]:
        self.pipe.send("end")
        told, heard = False, time.monotonic()
        while time.monotonic() - heard < (STOPPED if told else QUIET):
            if stopped() and not told:
                self.pipe.send("stop")
                told, heard = True, time.monotonic()
            if self.pipe.poll(0.1):
                news = self.pipe.recv()
                if isinstance(news, tuple):
                    return news
                heard = heard if told else time.monotonic()
        return None, "no progress"


def key_in_sight() -> bool:
    """Whether a key lies where wandb finds it: in its variable, or in netrc. Elsewhere, only wandb itself would know.

    To ask wandb takes seconds, in which nothing would train.
    """
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").netloc
    key = os.environ.get("WANDB_API_KEY")
    with contextlib.suppress(OSError, NetrcParseError):
        if not key and (known := netrc(os.environ.get("NETRC")).authenticators(host)):
            key = known[2]
    return re.fullmatch(r"\w{40,}", key or "") is not None


@dataclass
class Ear:
    """What the run says to its mirror."""

    pipe: Connection
    word: str = ""
    lock: Lock = field(default_factory=Lock)

    def listen(self, seconds: float = 0.0) -> str:
        """`end`: the ledger is complete, or the run is gone; `stop`: at once; else nothing."""
        try:
            while self.pipe.poll(0.0 if self.word else seconds):
                self.word = self.pipe.recv()
        except (EOFError, OSError):
            self.word = self.word or "end"
        return self.word

    def tell(self, news: object) -> None:
        """News for a run that waits at its end; nobody else would read them."""
        if self.word:
            with contextlib.suppress(OSError):
                self.pipe.send(news)

    def stopped(self) -> bool:
        """Asked before each run that is written or read, by any thread, which is progress."""
        with self.lock:
            self.listen()
            self.tell("at work")
            return self.word == "stop"


def follow(pipe: Connection, directory: Path, mode: Mode, cohorts: Collection[str]) -> None:
    """Mirror the cohorts of a run as they are finished, until the run has ended and all is there."""
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that came before the session was of the run's group
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.nice(10)  # training comes first
    ear, left, why = Ear(pipe), None, "nothing was read"
    try:
        with opened(directory, mode, ear) as bring:
            if mode == "online":
                pipe.send(None)
            left, why = keep_up(directory, cohorts, bring, ear)
    except InputError as error:
        ear.word, why = "refused", str(error)
        ear.tell(why)
    except Exception as error:  # a full disk, a corrupt ledger: told at the end of the run
        why = describe_error(error)
        while not ear.word:
            ear.listen(60.0)
    ear.tell((left, why))


@contextlib.contextmanager
def opened(directory: Path, mode: Mode, ear: Ear) -> Iterator[Bring]:
    """How one cohort is brought to W&B."""
    try:
        writer = RunWriter(None if mode == "online" else directory)
    except InputError as error:
        raise InputError(f"{error}, or choose --wandb offline") from None
    publisher = Publisher(directory, Server(), writer, PASSES, ear.stopped)

    def online(book: Book, cohort: str) -> dict[str, str]:
        return publisher.bring(cohort_batch(book, cohort))

    def offline(book: Book, cohort: str) -> dict[str, str]:
        return shelve(directory, cohort, list(book.runs(cohort)), writer, ear)

    yield online if mode == "online" else offline
    writer.close()


def keep_up(directory: Path, cohorts: Collection[str], bring: Bring, ear: Ear) -> tuple[int, str]:
    """Bring cohorts as they finish; at the end, (cells that are not there, why)."""
    done, sizes, pause, missing = set[str](), list[int](), POLL, dict[str, dict[str, str]]()
    while True:
        word = ear.listen(pause)
        now, begun = [part.stat().st_size for part in paths.parts(directory)], time.monotonic()
        if word or now != sizes or missing:
            book, sizes = Book.read(directory), now
            pause = max(POLL, 20 * (time.monotonic() - begun))
            for cohort in [c for c in book.finished if c in cohorts and c not in done]:
                missing[cohort] = dict.fromkeys(book.cells(cohort), "not tried")
                if ear.stopped():
                    break
                missing[cohort] = bring(book, cohort)
                if not missing[cohort]:
                    done.add(cohort)
                    del missing[cohort]
                elif len(missing[cohort]) == len(book.cells(cohort)):  # W&B is away: later, then
                    pause = min(60.0, 2 * pause)
                    break
        if word:
            reasons = [why for of in missing.values() for why in of.values()]
            left = sum(len(book.cells(c)) for c in book.finished if c in cohorts and c not in done and c not in missing)
            return left + len(reasons), next((why for why in reasons if why != "not tried"), "no time was left")


def shelve(directory: Path, cohort: str, runs: Sequence[CellRun], writer: RunWriter, ear: Ear) -> dict[str, str]:
    """Write a cohort's runs offline, once: a mark says that all are there, and what was begun before is removed."""
    reasons = dict.fromkeys((run.id for run in runs), "not tried")
    with lock(directory, cohort) as mark:
        if mark.exists() and mark.read_text() == "offline":
            return {}
        for run in runs:
            if ear.stopped():
                return reasons
            for begun in (directory / "wandb").glob(f"offline-run-*-{run.id}"):
                shutil.rmtree(begun)
            try:
                writer.write(run, 1)
            except Exception as error:
                return reasons | {run.id: describe_error(error)}
            del reasons[run.id]
        mark.write_text("offline")
    return reasons
