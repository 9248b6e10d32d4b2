"""Ledgers of runs that other people published, written at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.ledger import atomic, ledger, lines, paths
from bench.ledger.lines import Row


def row(kind: str, key: str, payload: Mapping[str, Any]) -> Row:
    """A row without an attempt."""
    return Row(kind, key, None, ledger.clean(payload))


def deposit(directory: Path, rows: list[Row]) -> None:
    """Write the whole ledger of a directory atomically. Writing the same one again changes nothing.

    Raises:
        InputError: the directory cannot be written, or holds another ledger.
    """
    if paths.parts(directory):
        if sorted(ledger.read(directory), key=_kind_and_key) != sorted(rows, key=_kind_and_key):
            raise InputError(f"{directory} holds another ledger: give a directory of its own")
        return
    data = "".join(lines.text({"v": lines.VERSION, **row._asdict()}) + "\n" for row in rows).encode()
    try:
        atomic.write(paths.ledger(directory) / "part-000.jsonl", lambda file: file.write(data))
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error.strerror or error}") from None


def _kind_and_key(row: Row) -> tuple[str, str]:
    return row.kind, row.key
