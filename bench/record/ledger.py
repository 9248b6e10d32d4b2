"""The append-only ledger: the one source of truth. Tables, figures and pages are derived from it.

A row is one line of JSON: `{"v", "kind", "key", "attempt", "payload"}`. The payload is deterministic and replays
bitwise; everything that differs between attempts (host, time, commit, versions) stands once, in a row of kind
`attempt` that the others name. Each writer appends to a part of its own, `ledger/part-000.jsonl`, held by a lock.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.contract import InputError, digest

VERSION = 1
Row = dict[str, Any]


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


def parts(directory: Path) -> list[Path]:
    """Files of the ledger under a run's directory, in a fixed order."""
    folder = directory / "ledger"
    return sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")])


def read(directory: Path, notes: list[str] | None = None) -> list[Row]:
    """Every row once, in the order of first writing within each part.

    A torn last line (a write cut off in the middle) is left out and mentioned in `notes`.

    Raises:
        InputError: no ledger there, or a line in the middle that is not a row; file and line are named.
    """
    files = parts(directory)
    if not files:
        raise InputError(f"{directory} holds no ledger: give the --out directory of a run")
    rows: dict[tuple[str, str], Row] = {}
    for file in files:
        for row in _lines(file, notes):
            rows.setdefault((row["kind"], row["key"]), row)
    return list(rows.values())


def _lines(file: Path, notes: list[str] | None) -> Iterator[Row]:
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        row = _row(line)
        if row is not None:
            yield row
        elif number == len(lines):
            if line and notes is not None:
                notes.append(f"{file.name}: its last line was cut off in the middle of a write and is left out")
        else:
            raise InputError(
                f"{file}, line {number}: not a row of a ledger (corrupt); restore the line or delete it, "
                "and run again to replay what it held"
            )


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:  # undecodable bytes, too
        return None
    known = isinstance(row, dict) and row.get("v") == VERSION and isinstance(row.get("kind"), str) and "key" in row
    return row if known else None


class Ledger:
    """The ledger of one directory, opened for appending.

    Appending is idempotent: a row that is there already is not written again, and must have the same payload.
    Rows reach the disk at `flush`, whole.

    Args:
        directory: The run's directory; made if missing.
        attempt: What this process is and runs on; `attempt["fingerprint"]` names the environment.

    Raises:
        InputError: the directory cannot be written, or its ledger is corrupt.
    """

    def __init__(self, directory: Path, attempt: Row):
        self.notes: list[str] = []
        self._attempt = clean(attempt)
        self._name = digest(json.dumps(self._attempt, sort_keys=True))
        self._waiting: list[str] = []
        self._announced = False
        try:
            (directory / "ledger").mkdir(parents=True, exist_ok=True)
            self._file = self._claim(directory / "ledger")
        except OSError as error:
            raise InputError(f"cannot write to {directory}: {error.strerror or error}") from None
        rows = read(directory, self.notes)
        self._prints = {r["key"]: r["payload"].get("fingerprint") for r in rows if r["kind"] == "attempt"}
        self._prints[self._name] = self._attempt.get("fingerprint")
        self._seen = {(r["kind"], r["key"]): (_text(r["payload"]), r.get("attempt")) for r in rows}

    def _claim(self, folder: Path) -> int:
        """The first part that no living writer holds, its torn tail mended."""
        number = 0
        while True:
            file = os.open(folder / f"part-{number:03d}.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                number += 1
                continue
            self._mend(file, folder / f"part-{number:03d}.jsonl")
            return file

    def _mend(self, file: int, path: Path) -> None:
        data = path.read_bytes()
        tail = data[data.rfind(b"\n") + 1 :]
        if not tail:
            return
        if _row(tail) is not None:  # only the newline is missing: the row is whole, and stays
            os.write(file, b"\n")
        else:
            os.ftruncate(file, len(data) - len(tail))
        self.notes.append(f"{path.name}: a last line cut off in the middle of a write was repaired")

    def __contains__(self, kind_key: tuple[str, str]) -> bool:
        return kind_key in self._seen

    def append(self, kind: str, key: str, payload: Row) -> None:
        """Write a row, unless it is there.

        Raises:
            ReplayError: it is there with another payload, written under the same environment.
        """
        text = _text(clean(payload))
        if (there := self._seen.get((kind, key))) is not None:
            if there[0] != text:
                self._differ(kind, key, there[1])
            return
        if not self._announced:
            self._announced = True
            self._seen[("attempt", self._name)] = (_text(self._attempt), self._name)
            self._waiting.append(_line("attempt", self._name, self._name, _text(self._attempt)))
        self._seen[(kind, key)] = (text, self._name)
        self._waiting.append(_line(kind, key, self._name, text))

    def _differ(self, kind: str, key: str, attempt: str | None) -> None:
        where = f"{kind} row {key} replays to another payload than the recorded one"
        if attempt is not None and self._prints.get(attempt) != self._attempt.get("fingerprint"):
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


def _text(payload: Row) -> str:
    return json.dumps(payload, separators=(",", ":"), allow_nan=False)


def _line(kind: str, key: str, attempt: str, text: str) -> str:
    head = json.dumps({"v": VERSION, "kind": kind, "key": key, "attempt": attempt}, separators=(",", ":"))
    return f'{head[:-1]},"payload":{text}}}\n'
