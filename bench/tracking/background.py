"""The background process that mirrors a run to W&B from its ledger, so that training neither waits nor fails."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing import get_context
from multiprocessing.connection import Connection
from netrc import NetrcParseError, netrc
from pathlib import Path
from threading import Lock
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from bench.contract import InputError
from bench.ledger import paths
from bench.preempt import SIGNALS, spawning
from bench.tracking.runs import CellRun, CohortIndex
from bench.tracking.server import Server
from bench.tracking.sync import Publisher, cohort_batch, describe_error, lock
from bench.tracking.writer import RunWriter

Mode: TypeAlias = Literal["offline", "online"]
Uploader: TypeAlias = Callable[[CohortIndex, str], dict[str, str]]
"""Brings one cohort to W&B; returns, by id, why runs are missing."""

POLL = 1.0
"""Least seconds between reads of the ledger; reading takes a twentieth of the time at most."""

PASSES = (0.0, 1.0)
"""As in the publisher, but with fewer passes, since a cohort is tried again later."""

QUIET, STOPPED, START = 60.0, 5.0, 120.0
"""Seconds without news after which a run goes on without its mirror: at its end, when preempted, at its start."""


class BackgroundTracker:
    """A run's handle on its mirror process.

    The process gets a session of its own, so a signal to the run's process group, such as Ctrl-C, does not end wandb's
    service in the middle of a run. If a signal does (SLURM signals every process), `glideslope publish` completes W&B.

    Raises:
        InputError: online, and no key is configured.
    """

    def __init__(self, directory: Path, mode: Mode, cohorts: Collection[str]):
        self.directory, self.mode = directory, mode
        context = get_context("spawn")
        self.pipe, child_pipe = context.Pipe()
        arguments = child_pipe, directory, mode, frozenset(cohorts)
        self.process = context.Process(target=follow, args=arguments, daemon=True)
        with spawning():
            self.process.start()
        child_pipe.close()
        # Only a key that may be missing is worth waiting for.
        if mode == "online" and not key_in_sight() and self.pipe.poll(START):
            with contextlib.suppress(EOFError):
                if refusal := self.pipe.recv():
                    raise InputError(refusal)

    def end(self, stopped: Callable[[], bool]) -> str:
        """Wait while the mirror makes progress (for seconds only, once `stopped`); return a last line for the run."""
        try:
            missing, reason = self._wait(stopped)
        except (EOFError, OSError):
            missing, reason = None, "it was killed"
        with contextlib.suppress(ProcessLookupError, PermissionError):  # ends wandb's service, too
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.join()
        publish = f"glideslope publish {self.directory}"
        if missing:
            return f"W&B: the runs of {missing} cells are not there yet ({reason}). To upload them: {publish}"
        if missing is None:
            return f"W&B: the mirror did not finish ({reason}). To upload what is missing: {publish}"
        if self.mode == "online":
            return f"W&B: all runs are online. Report: {publish} --report"
        return f"W&B: all runs are offline in {self.directory / 'wandb'}. To publish them: {publish}"

    def _wait(self, stopped: Callable[[], bool]) -> tuple[int | None, str]:
        """The mirror's result, (number of cells missing on W&B, reason); the number is None if progress stops."""
        self.pipe.send("end")
        stopping, last_news = False, time.monotonic()
        while time.monotonic() - last_news < (STOPPED if stopping else QUIET):
            if stopped() and not stopping:
                self.pipe.send("stop")
                stopping, last_news = True, time.monotonic()
            if self.pipe.poll(0.1):
                news = self.pipe.recv()
                if isinstance(news, tuple):
                    return news
                if not stopping:
                    last_news = time.monotonic()
        return None, "no progress"


def key_in_sight() -> bool:
    """True if a well-formed W&B key is in wandb's environment variable or in netrc.

    Keys in other places are known to wandb alone; asking wandb takes seconds, in which nothing would train.
    """
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").netloc
    key = os.environ.get("WANDB_API_KEY")
    with contextlib.suppress(OSError, NetrcParseError):
        if not key and (entry := netrc(os.environ.get("NETRC")).authenticators(host)):
            key = entry[2]
    return re.fullmatch(r"\w{40,}", key or "") is not None


@dataclass
class RunConnection:
    """The mirror's end of the pipe to its run."""

    pipe: Connection
    word: str = ""
    lock: Lock = field(default_factory=Lock)

    def listen(self, seconds: float = 0.0) -> str:
        """The last command: `end` (the ledger is complete, or the run has ended), `stop` (at once), or none yet."""
        try:
            while self.pipe.poll(0.0 if self.word else seconds):
                self.word = self.pipe.recv()
        except (EOFError, OSError):
            self.word = self.word or "end"
        return self.word

    def tell(self, news: object) -> None:
        """Send news to a run that waits at its end; before that, nothing would read them."""
        if self.word:
            with contextlib.suppress(OSError):
                self.pipe.send(news)

    def stopped(self) -> bool:
        """True on `stop`. Any thread calls it before each run that it writes or reads, which also reports progress."""
        with self.lock:
            self.listen()
            self.tell("at work")
            return self.word == "stop"


def follow(pipe: Connection, directory: Path, mode: Mode, cohorts: Collection[str]) -> None:
    """Mirror the cohorts of a run as they finish, until the run has ended and W&B has all of them."""
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C before setsid was sent to the run's process group
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.nice(10)  # training comes first
    connection, missing, reason = RunConnection(pipe), None, "nothing was read"
    try:
        with opened(directory, mode, connection) as upload:
            if mode == "online":
                pipe.send(None)
            missing, reason = keep_up(directory, cohorts, upload, connection)
    except InputError as error:
        connection.word, reason = "refused", str(error)
        connection.tell(reason)
    except Exception as error:  # a full disk, a corrupt ledger: reported at the end of the run
        reason = describe_error(error)
        while not connection.word:
            connection.listen(60.0)
    connection.tell((missing, reason))


@contextlib.contextmanager
def opened(directory: Path, mode: Mode, connection: RunConnection) -> Iterator[Uploader]:
    """Open the writer of a mode; the function that brings one cohort to W&B."""
    try:
        writer = RunWriter(None if mode == "online" else directory)
    except InputError as error:
        raise InputError(f"{error}, or choose --wandb offline") from None
    publisher = Publisher(directory, Server(), writer, PASSES, connection.stopped)

    def online(book: CohortIndex, cohort: str) -> dict[str, str]:
        return publisher.bring(cohort_batch(book, cohort))

    def offline(book: CohortIndex, cohort: str) -> dict[str, str]:
        return write_offline(directory, cohort, list(book.runs(cohort)), writer, connection)

    yield online if mode == "online" else offline
    writer.close()


def keep_up(directory: Path, cohorts: Collection[str], upload: Uploader, connection: RunConnection) -> tuple[int, str]:
    """Upload cohorts as they finish, until the run has ended; return (number of cells missing on W&B, reason)."""
    complete, sizes, pause, missing = set[str](), list[int](), POLL, dict[str, dict[str, str]]()
    while True:
        word = connection.listen(pause)
        new_sizes, start = [part.stat().st_size for part in paths.parts(directory)], time.monotonic()
        if word or new_sizes != sizes or missing:
            book, sizes = CohortIndex.read(directory), new_sizes
            pause = max(POLL, 20 * (time.monotonic() - start))
            for cohort in [c for c in book.finished if c in cohorts and c not in complete]:
                missing[cohort] = dict.fromkeys(book.cells(cohort), "not tried")
                if connection.stopped():
                    break
                missing[cohort] = upload(book, cohort)
                if not missing[cohort]:
                    complete.add(cohort)
                    del missing[cohort]
                elif len(missing[cohort]) == len(book.cells(cohort)):  # W&B is out of reach: try again later
                    pause = min(60.0, 2 * pause)
                    break
        if word:
            reasons = list(chain.from_iterable(cells.values() for cells in missing.values()))
            untried = [c for c in book.finished if c in cohorts and c not in complete and c not in missing]
            count = len(reasons) + sum(len(book.cells(cohort)) for cohort in untried)
            return count, next((reason for reason in reasons if reason != "not tried"), "no time was left")


def write_offline(
    directory: Path, cohort: str, runs: Sequence[CellRun], writer: RunWriter, connection: RunConnection
) -> dict[str, str]:
    """Write a cohort's runs offline, once: a mark records that all are complete; incomplete ones are replaced."""
    reasons = dict.fromkeys((run.id for run in runs), "not tried")
    with lock(directory, cohort) as mark:
        if mark.exists() and mark.read_text() == "offline":
            return {}
        for run in runs:
            if connection.stopped():
                return reasons
            for incomplete in (directory / "wandb").glob(f"offline-run-*-{run.id}"):
                shutil.rmtree(incomplete)
            try:
                writer.write(run, 1)
            except Exception as error:
                writer.renew()  # wandb's service keeps the id of a run that failed, so the next try needs a new one
                return reasons | {run.id: describe_error(error)}
            del reasons[run.id]
        mark.write_text("offline")
    return reasons
