"""The lines of a ledger: rows as text, read once, in whichever parts they stand."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

from bench.contract import InputError
from bench.ledger import paths

VERSION = 1
T = TypeVar("T")
R = TypeVar("R", bound="Payload")

BLOCK = 1 << 16  # bytes searched at a time

HEAD = f'{{"v":{VERSION},"kind":"'
"""How each line begins, so that its kind is known without parsing it."""


class Row(NamedTuple):
    """A line of a ledger. `attempt` names the row of the process that wrote it; None in published ledgers."""

    kind: str
    key: str
    attempt: str | None
    payload: dict[str, Any]


class Payload:
    """A frozen dataclass that is written as a JSON object and read from one."""

    def payload(self) -> dict[str, Any]:
        """Fields by name, in order; those with a default only where they differ from it."""
        values = {f.name: getattr(self, f.name) for f in _fields(self)}
        return {f.name: plain(values[f.name]) for f in _fields(self) if _required(f) or values[f.name] != f.default}

    @classmethod
    def read(cls: type[R], payload: Mapping[str, Any]) -> R:
        """The row that a payload holds; a required field that an older ledger lacks is None."""
        own = {f.name: payload.get(f.name) for f in _fields(cls) if _required(f) or f.name in payload}
        return cls(**own)


def _fields(of: Any) -> tuple[Field[Any], ...]:
    return fields(of)


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def plain(value: Any) -> Any:
    """A value as JSON objects, lists, texts and numbers."""
    if isinstance(value, Payload):
        return value.payload()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def text(payload: Mapping[str, Any]) -> str:
    """A payload as it stands in its line: equal payloads have equal texts."""
    return json.dumps(payload, separators=(",", ":"), allow_nan=False)


def line(kind: str, key: str, attempt: str, payload: str) -> str:
    """A row as a line; `payload` is a text."""
    return f'{HEAD}{kind}","key":{json.dumps(key)},"attempt":"{attempt}","payload":{payload}}}\n'


def row(line: bytes) -> Row | None:
    """The row in a line; None if the line isn't one."""
    try:
        row = json.loads(line)
    except ValueError:  # undecodable bytes, too
        return None
    if isinstance(row, dict) and row.get("v") == VERSION and isinstance(row.get("kind"), str) and "key" in row:
        return Row(row["kind"], row["key"], row.get("attempt"), row.get("payload", {}))
    return None


def row_of(kinds: Collection[str]) -> Callable[[bytes], Row | tuple[()] | None]:
    """The same for rows of some kinds; others are empty, without being parsed where they look whole."""
    wanted = {f'{HEAD}{kind}"'.encode() for kind in kinds}
    head = HEAD.encode()

    def parse(line: bytes) -> Row | tuple[()] | None:
        if line.startswith(head) and line.endswith(b"}}\n") and line[: line.find(b'"', len(head)) + 1] not in wanted:
            return ()
        whole = row(line)
        return whole if whole is None or whole.kind in kinds else ()

    return parse


def ended(data: BinaryIO, start: int = 0) -> int:
    """Where the last line ends that a part has from `start` on.

    Up to there a part only grows. What comes after is being written, or was cut off by a crash and is taken away by
    the next writer, under a reader's eyes.
    """
    at = data.seek(0, os.SEEK_END)
    while at > start:
        block = max(start, at - BLOCK)
        data.seek(block)
        if (last := data.read(at - block).rfind(b"\n")) >= 0:
            return block + last + 1
        at = block
    return start


class LedgerReader(Generic[T]):
    """Reads the parts of a ledger: at first all that is there, then only what was appended since.

    Args:
        directory: The run's directory.
        parse: What is made of a line; None if it isn't a row, empty if it is not wanted.
        notes: Where it is mentioned that a line was torn and is left out.
        settled: Whether what is read is brought to the disk: its writer may have been killed before it did.
    """

    def __init__(
        self,
        directory: Path,
        parse: Callable[[bytes], T | tuple[()] | None],
        notes: list[str] | None = None,
        *,
        settled: bool = False,
    ):
        self.directory, self.parse, self.notes, self.settled = directory, parse, notes, settled
        self._read: dict[str, tuple[int, int]] = {}  # bytes and lines of each part

    def new(self, skip: Path | None = None) -> Iterator[T]:
        """What is wanted of the lines not read before, part by part; the part `skip` is left out.

        Raises:
            InputError: a line in the middle is not a row; file and line are named.
        """
        for file in paths.parts(self.directory):
            if file != skip:
                yield from self._part(file)

    def _part(self, file: Path) -> Iterator[T]:
        start, number = self._read.get(file.name, (0, 0))
        if start and file.suffix == ".gz":  # made of a part that was complete
            return
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as data:
            end = ended(data, start) if isinstance(data, BufferedReader) else sys.maxsize
            data.seek(start)
            for line in data:
                whole = line.endswith(b"\n")
                if whole and start >= end:  # the rest of a torn line, written since
                    break
                it = self.parse(line)
                if whole:
                    start, number = start + len(line), number + 1
                    if it is None:
                        self._doubt(file, line, number)
                elif it is None:
                    self._note(f"{file.name}: its last line was cut off in the middle of a write and is left out")
                if it:
                    yield it
            if self.settled and (start, number) != self._read.get(file.name):
                os.fsync(data.fileno())
        self._read[file.name] = start, number

    def _doubt(self, file: Path, line: bytes, number: int) -> None:
        """Whether a line that is no row may be left out: blocks that a crash kept from the disk read as zeros."""
        if b"\0" not in line:
            raise InputError(
                f"{file}, line {number}: not a row of a ledger (corrupt); restore the line or delete it, "
                "and run again to replay what it held"
            )
        self._note(f"{file.name}: line {number} did not reach the disk before a crash and is left out")

    def _note(self, note: str) -> None:
        if self.notes is not None:
            self.notes.append(note)
