"""The append-only ledger: the one source of truth. Tables, figures and pages are derived from it.

A row is one line of JSON: `{"v", "kind", "key", "attempt", "payload"}`. The payload is deterministic and replays
bitwise; everything that differs between attempts (host, time, commit, versions) stands once, in a row of kind
`attempt` that the others name. Each writer appends to a part of its own, `ledger/part-MACHINE-000.jsonl`, held by a
lock that only processes of that machine see: locks of a network file system are not relied on.
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
"""A line as it is written here, but for keys that JSON escapes."""


class ReplayError(RuntimeError):
    """A replayed payload differs from the recorded one under the same environment: exactness is broken."""


def clean(value: Any) -> Any:
    """`value` as JSON can hold it: a number that is not finite becomes null."""
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
        InputError: no ledger there, or a line in the middle that is not a row; file and line are named.
    """
    if not paths.parts(directory):
        raise InputError(f"{directory} holds no ledger: give the --out directory of a run")
    rows: dict[tuple[str, str], Row] = {}
    for row in LedgerReader(directory, lines.row if kinds is None else lines.row_of(kinds), notes).new():
        rows.setdefault((row.kind, row.key), row)
    return list(rows.values())


class Brief(NamedTuple):
    """What an appender has to know of a row."""

    kind: str
    key: str
    attempt: str | None
    mark: int  # of the payload: equal payloads have equal marks within a process
    fingerprint: str | None = None  # of an attempt


def brief(line: bytes) -> Brief | None:
    """The row in a line, in brief; None if the line isn't one."""
    if it := LINE.fullmatch(line):
        kind, key, attempt = it[1].decode(), it[2].decode(), it[3].decode()
        if kind != "attempt":
            return Brief(kind, key, attempt, hash(it[4]))
    if (row := lines.row(line)) is None:
        return None
    mark = hash(lines.text(row.payload).encode())
    fingerprint = AttemptRow.read(row.payload).fingerprint if row.kind == AttemptRow.kind else None
    return Brief(row.kind, row.key, row.attempt, mark, fingerprint)


class Ledger:
    """The ledger of one directory, opened for appending.

    Appending is idempotent: a row that is there already is not written again, and must have the same payload.
    Rows reach the disk at `flush`, whole. What is there is known by marks, 0.1 kB a row; of the `eval` rows of a
    finished cohort nothing is kept, for it is not trained again.

    Args:
        directory: The run's directory; made if missing.
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
            self._part, self._file = self._claim(paths.ledger(directory))
        except OSError as error:
            if atomic.full(error):
                raise
            raise InputError(f"cannot write to {directory}: {error.strerror or error}") from None
        self._prints: dict[str, str | None] = {self._name: self._fingerprint}
        self._seen: dict[str, dict[tuple[str, str], tuple[int, str | None]]] = {}  # by cohort of eval rows, else ""
        self._reader = LedgerReader(directory, brief, self.notes, settled=True)
        self._learn(self._reader.new())
        self._reader.notes = None  # from now on a last line without its end is one being written

    def _claim(self, folder: Path) -> tuple[Path, int]:
        """The first part of this machine that no living writer holds, its torn tail mended."""
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
            except OSError:  # there are no locks here, so a part that nobody else can have
                os.close(file)
                part = folder / f"part-{machine()}-{secrets.token_hex(4)}.jsonl"
                file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            self._mend(file, part)
            atomic.settle(folder)
            return part, file

    def _mend(self, file: int, part: Path) -> None:
        with part.open("rb") as data:
            end = data.seek(lines.ended(data))
            tail = data.read()
        if not tail:
            return
        if lines.row(tail) is not None:  # only the newline is missing: the row is whole, and stays
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
                self._seen.pop(key, None)
            self._of(kind, key).setdefault((kind, key), (mark, attempt))

    def _of(self, kind: str, key: str) -> dict[tuple[str, str], tuple[int, str | None]]:
        return self._seen.setdefault(key.partition("/")[0] if kind == "eval" else "", {})

    def __contains__(self, kind_key: tuple[str, str]) -> bool:
        return kind_key in self._of(*kind_key)

    def append(self, kind: str, key: str, payload: Mapping[str, Any]) -> None:
        """Write a row, unless it is there.

        Raises:
            ReplayError: it is there with another payload, written under the same environment.
        """
        text = lines.text(clean(payload))
        seen, mark = self._of(kind, key), hash(text.encode())
        if (there := seen.get((kind, key))) is not None:
            if there[0] != mark:
                self._differ(kind, key, there[1])
            return
        if not self._announced:
            self._announced = True
            self._waiting.append(lines.line("attempt", self._name, self._name, lines.text(self._attempt)))
        seen[(kind, key)] = mark, self._name
        self._waiting.append(lines.line(kind, key, self._name, text))

    def append_another(self, kind: str, key: str, payload: Mapping[str, Any]) -> None:
        """Write a row under `key`, or `key/2`, ... where others of the same kind stand; unless it is one of them."""
        number, place, mark = 1, key, hash(lines.text(clean(payload)).encode())
        while (there := self._of(kind, place).get((kind, place))) is not None and there[0] != mark:
            number += 1
            place = f"{key}/{number}"
        self.append(kind, place, payload)

    def _differ(self, kind: str, key: str, attempt: str | None) -> None:
        where = f"{kind} row {key} replays to another payload than the recorded one"
        if attempt is not None and self._prints.get(attempt) != self._fingerprint:
            self.notes.append(f"{where}, which was written under another environment; the recorded one stays")
            return
        raise ReplayError(f"{where}, under the same environment: training is not exactly repeatable here")

    def flush(self) -> None:
        """Bring all rows to the disk. Snapshots that count rows are written after this.

        Raises:
            OSError: the disk is full; what was written of the last row is taken back.
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
        """Flush, and free the part for other writers."""
        self.flush()
        os.close(self._file)
