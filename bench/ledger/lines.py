"""Lines of a ledger: dataclasses as JSON objects, rows as text, and a reader that reads each line once."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Generic, NamedTuple, TypeVar

from bench.contract import InputError
from bench.ledger import paths

VERSION = 1
T = TypeVar("T")
R = TypeVar("R", bound="Payload")

BLOCK = 1 << 16  # bytes searched at a time

HEAD = f'{{"v":{VERSION},"kind":"'
"""Beginning of each line, which gives its kind away without parsing."""


class Row(NamedTuple):
    """A line of a ledger. `attempt` is the key of the row of the process that wrote it; None in published ledgers."""

    kind: str
    key: str
    attempt: str | None
    payload: dict[str, Any]


class Payload:
    """Base of frozen dataclasses that are written as JSON objects."""

    readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}  # of fields that are not plain JSON; None is one, too

    def payload(self) -> dict[str, Any]:
        """Fields by name, in order, without those that have their default value."""
        payload = {}
        for field in _fields(self):
            value = getattr(self, field.name)
            if _required(field) or value != field.default:
                payload[field.name] = plain(value)
        return payload

    @classmethod
    def read(cls: type[R], payload: Mapping[str, Any]) -> R:
        """The object of a payload. A required field that an older ledger lacks is None."""
        own = {f.name: payload.get(f.name) for f in _fields(cls) if _required(f) or f.name in payload}
        return cls(**{name: cls.readers[name](value) if name in cls.readers else value for name, value in own.items()})


def optional(kind: Callable[..., T]) -> Callable[[Mapping[str, Any] | None], T | None]:
    """A reader of a field that is None, or a JSON object of arguments of `kind`."""
    return lambda value: None if value is None else kind(**value)


def _fields(dataclass: Any) -> tuple[Field[Any], ...]:
    return fields(dataclass)


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def plain(value: Any) -> Any:
    """A value in terms of JSON: objects, lists, texts and numbers."""
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
    """A payload as JSON: equal payloads have equal texts."""
    return json.dumps(payload, separators=(",", ":"), allow_nan=False)


def line(kind: str, key: str, attempt: str, payload: str) -> str:
    """A row as a line; `payload` is its JSON text."""
    return f'{HEAD}{kind}","key":{json.dumps(key)},"attempt":"{attempt}","payload":{payload}}}\n'


def row(line: bytes) -> Row | None:
    """The row in a line; None if the line is not a row."""
    try:
        row = json.loads(line)
    except ValueError:  # undecodable bytes, too
        return None
    if isinstance(row, dict) and row.get("v") == VERSION and isinstance(row.get("kind"), str) and "key" in row:
        return Row(row["kind"], row["key"], row.get("attempt"), row.get("payload", {}))
    return None


def row_of(kinds: Collection[str]) -> Callable[[bytes], Row | tuple[()] | None]:
    """Parser for rows of some kinds: an empty tuple for others, which are not parsed if they look complete."""
    heads = {f'{HEAD}{kind}"'.encode() for kind in kinds}
    common = HEAD.encode()

    def parse(line: bytes) -> Row | tuple[()] | None:
        complete = line.startswith(common) and line.endswith(b"}}\n")
        if complete and line[: line.find(b'"', len(common)) + 1] not in heads:
            return ()
        parsed = row(line)
        return parsed if parsed is None or parsed.kind in kinds else ()

    return parse


def ended(data: BinaryIO, start: int = 0) -> int:
    """Offset of the end of the last complete line of a part; `start` if none follows it.

    The bytes before that offset never change. Those after it are still being written, or were cut off by a crash, and
    the next writer may remove them while the part is read.
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
    """Reads the parts of a ledger: all lines at first, then the lines appended since.

    Args:
        directory: The run's directory.
        parse: Converts a line; None if it is not a row, an empty tuple to pass over it.
        notes: Receives a message for each torn line that is left out.
        settled: Whether to flush the parts read to the disk: their writer may have been killed before it did.
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
        """Parsed lines that were not read before, part by part, without the part `skip`.

        Raises:
            InputError: a line in the middle is not a row; names the file and the line.
        """
        for file in paths.parts(self.directory):
            if file != skip:
                yield from self._part(file)

    def _part(self, file: Path) -> Iterator[T]:
        start, number = self._read.get(file.name, (0, 0))
        if start and file.suffix == ".gz":  # compressed parts are complete
            return
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as data:
            end = ended(data, start) if isinstance(data, BufferedReader) else sys.maxsize
            data.seek(start)
            for line in data:
                complete = line.endswith(b"\n")
                if complete and start >= end:  # the rest of a torn line, written since
                    break
                parsed = self.parse(line)
                if complete:
                    start, number = start + len(line), number + 1
                    if parsed is None:
                        self._check_lost(file, line, number)
                elif parsed is None:
                    self._note(f"{file.name}: its last line was cut off in the middle of a write and is left out")
                if parsed:
                    yield parsed
            if self.settled and (start, number) != self._read.get(file.name):
                os.fsync(data.fileno())
        self._read[file.name] = start, number

    def _check_lost(self, file: Path, line: bytes, number: int) -> None:
        """Note a line that a crash destroyed, or raise InputError: blocks that were not written read as zeros."""
        if b"\0" not in line:
            raise InputError(
                f"{file}, line {number}: not a row of a ledger (corrupt); restore the line or delete it, "
                "and run again to replay what it held"
            )
        self._note(f"{file.name}: line {number} did not reach the disk before a crash and is left out")

    def _note(self, note: str) -> None:
        if self.notes is not None:
            self.notes.append(note)
