"""The append-only ledger: the one source of truth. Tables, figures and pages are derived from it.

A row is one line of JSON: `{"v", "kind", "key", "attempt", "payload"}`. The payload is deterministic and replays
bitwise. Everything that differs between attempts (host, time, commit, versions) is in one row of kind `attempt`, which
the other rows refer to. Each writer appends to its own part, `ledger/part-MACHINE-000.jsonl`, and locks it. Only
processes of the same machine compete for a part, so locks need not work across a network file system.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.contract import InputError, digest
from bench.ledger import atomic, lines, paths
from bench.ledger.lines import LedgerReader, Row
from bench.ledger.machine import machine
from bench.ledger.rows import AttemptRow

LINE = re.compile(
    rf'{re.escape(lines.HEAD)}(\w+)","key":"([^"\\]*)","attempt":"(\w*)","payload":(\{{[^\0]*\}})\}}\n'.encode()
)
"""A line as `lines.line` writes it, unless JSON escapes its key."""


class ReplayError(RuntimeError):
    """A replayed payload differs from the recorded one in the same environment: training is not repeatable."""


def clean(value: Any) -> Any:
    """`value` in terms of JSON: a number that is not finite becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    return value


def read(directory: Path, notes: list[str] | None = None, kinds: Collection[str] | None = None) -> list[Row]:
    """Every row once, or every row of some kinds, in the order of first writing within each part.

    A torn last line (a write cut off in the middle) is left out and mentioned in `notes`.

    Raises:
        InputError: there is no ledger, or a line in the middle is not a row; names the file and the line.
    """
    if not paths.parts(directory):
        raise InputError(f"{directory} holds no ledger: give the --out directory of a run")
    rows: dict[tuple[str, str], Row] = {}
    for row in LedgerReader(directory, lines.row if kinds is None else lines.row_of(kinds), notes).new():
        rows.setdefault((row.kind, row.key), row)
    return list(rows.values())


class Brief(NamedTuple):
    """The part of a row that an appender needs."""

    kind: str
    key: str
    attempt: str | None
    mark: int  # of the payload: equal payloads have equal marks within a process
    fingerprint: str | None = None  # of an attempt


def brief(line: bytes) -> Brief | None:
    """The row in a line, in brief; None if the line is not a row."""
    if match := LINE.fullmatch(line):
        kind, key, attempt = match[1].decode(), match[2].decode(), match[3].decode()
        if kind != "attempt":
            return Brief(kind, key, attempt, hash(match[4]))
    if (row := lines.row(line)) is None:
        return None
    mark = hash(lines.text(row.payload).encode())
    fingerprint = AttemptRow.read(row.payload).fingerprint if row.kind == AttemptRow.kind else None
    return Brief(row.kind, row.key, row.attempt, mark, fingerprint)


class Ledger:
    """The ledger of one directory, opened for appending.

    Appending is idempotent: a recorded row is not written again, and must have the same payload. Rows reach the disk at
    `flush`, whole. In memory, a recorded row is a hash of its payload, about 0.1 kB. The `eval` rows of a finished
    cohort are forgotten, because the cohort is not trained again.

    Args:
        directory: The run's directory; created if missing.
        attempt: Provenance of this process.

    Raises:
        InputError: the directory cannot be written, or its ledger is corrupt.
    """

    def __init__(self, directory: Path, attempt: AttemptRow):
        self.notes: list[str] = []
        self._attempt, self._fingerprint = clean(attempt.payload()), attempt.fingerprint
        self._name = digest(json.dumps(self._attempt, sort_keys=True))
        self._waiting: list[str] = []
        self._announced = False
        try:
            atomic.folder(paths.ledger(directory))
            self._part, self._file = self._open_part(paths.ledger(directory))
        except OSError as error:
            if atomic.full(error):
                raise
            raise InputError(f"cannot write to {directory}: {error.strerror or error}") from None
        self._prints: dict[str, str | None] = {self._name: self._fingerprint}
        # Marks and attempts of rows by kind and key; in a table for each cohort's `eval` rows, and one ("") for others.
        self._recorded: dict[str, dict[tuple[str, str], tuple[int, str | None]]] = {}
        self._reader = LedgerReader(directory, brief, self.notes, settled=True)
        self._learn(self._reader.new())
        self._reader.notes = None  # from now on, a last line without a newline is still being written

    def _open_part(self, folder: Path) -> tuple[Path, int]:
        """Open and lock the first part of this machine that has no living writer, and repair its torn last line."""
        number = 0
        while True:
            part = folder / f"part-{machine()}-{number:03d}.jsonl"
            file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                number += 1
                continue
            except OSError:  # the file system has no locks: use a new part with a random name
                os.close(file)
                part = folder / f"part-{machine()}-{secrets.token_hex(4)}.jsonl"
                file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            self._repair(file, part)
            atomic.settle(folder)
            return part, file

    def _repair(self, file: int, part: Path) -> None:
        with part.open("rb") as data:
            end = data.seek(lines.ended(data))
            tail = data.read()
        if not tail:
            return
        if lines.row(tail) is not None:  # only the newline is missing: the row is whole
            os.write(file, b"\n")
        else:
            os.ftruncate(file, end)
        self.notes.append(f"{part.name}: a last line cut off in the middle of a write was repaired")

    def refresh(self) -> None:
        """Learn of the rows that others have appended since the ledger was opened."""
        self._learn(self._reader.new(skip=self._part))

    def _learn(self, rows: Iterable[Brief]) -> None:
        for kind, key, attempt, mark, fingerprint in rows:
            if kind == "attempt":
                self._prints[key] = fingerprint
            elif kind == "cohort":
                self._recorded.pop(key, None)
            self._table(kind, key).setdefault((kind, key), (mark, attempt))

    def _table(self, kind: str, key: str) -> dict[tuple[str, str], tuple[int, str | None]]:
        return self._recorded.setdefault(key.partition("/")[0] if kind == "eval" else "", {})

    def __contains__(self, kind_key: tuple[str, str]) -> bool:
        return kind_key in self._table(*kind_key)

    def append(self, kind: str, key: str, payload: Mapping[str, Any]) -> None:
        """Write a row, unless it is recorded.

        Raises:
            ReplayError: it is recorded with another payload, written in the same environment.
        """
        text = lines.text(clean(payload))
        table, mark = self._table(kind, key), hash(text.encode())
        if (recorded := table.get((kind, key))) is not None:
            recorded_mark, attempt = recorded
            if recorded_mark != mark:
                self._differ(kind, key, attempt)
            return
        if not self._announced:
            self._announced = True
            self._waiting.append(lines.line("attempt", self._name, self._name, lines.text(self._attempt)))
        table[(kind, key)] = mark, self._name
        self._waiting.append(lines.line(kind, key, self._name, text))

    def append_another(self, kind: str, key: str, payload: Mapping[str, Any]) -> None:
        """Write a row under the first free key of `key`, `key/2`, ...; unless one of these has the same payload."""
        number, free, mark = 1, key, hash(lines.text(clean(payload)).encode())
        while (recorded := self._table(kind, free).get((kind, free))) is not None and recorded[0] != mark:
            number += 1
            free = f"{key}/{number}"
        self.append(kind, free, payload)

    def _differ(self, kind: str, key: str, attempt: str | None) -> None:
        """Note that the environments differ, or raise ReplayError if they are the same."""
        message = f"{kind} row {key} replays to another payload than the recorded one"
        if attempt is not None and self._prints.get(attempt) != self._fingerprint:
            self.notes.append(f"{message}, which was written under another environment; the recorded one stays")
            return
        raise ReplayError(f"{message}, under the same environment: training is not exactly repeatable here")

    def flush(self) -> None:
        """Write all rows to the disk. Call it before writing a checkpoint that counts on them.

        Raises:
            OSError: the disk is full; the part is truncated to its size before the call.
        """
        if not self._waiting:
            return
        data = "".join(self._waiting).encode()
        size = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            raise
        self._waiting.clear()

    def close(self) -> None:
        """Flush, and unlock the part."""
        self.flush()
        os.close(self._file)
