"""A ledger that no attempt of ours wrote, put down whole: other people's runs."""

from __future__ import annotations

from pathlib import Path

from bench.contract import InputError
from bench.ledger import atomic, ledger, lines
from bench.ledger.lines import Row


def row(kind: str, key: str, payload: Row) -> Row:
    """A row that names no attempt."""
    return {"v": lines.VERSION, "kind": kind, "key": key, "attempt": None, "payload": ledger.clean(payload)}


def deposit(directory: Path, rows: list[Row]) -> None:
    """Write the whole ledger of a directory at once, atomically; the same one again changes nothing.

    Raises:
        InputError: the directory cannot be written, or holds another ledger.
    """
    if lines.parts(directory):
        if sorted(map(lines.text, ledger.read(directory))) != sorted(map(lines.text, rows)):
            raise InputError(f"{directory} holds another ledger: give a directory of its own")
        return
    data = "".join(lines.text(each) + "\n" for each in rows).encode()
    try:
        atomic.write(directory / "ledger" / "part-000.jsonl", lambda file: file.write(data))
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error.strerror or error}") from None
