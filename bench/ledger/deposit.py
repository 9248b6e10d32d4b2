"""A ledger that no attempt of ours wrote, put down whole: other people's runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract import InputError
from bench.ledger import atomic, ledger, lines, paths
from bench.ledger.lines import Row


def row(kind: str, key: str, payload: Mapping[str, Any]) -> Row:
    """A row that names no attempt."""
    return Row(kind, key, None, ledger.clean(payload))


def deposit(directory: Path, rows: list[Row]) -> None:
    """Write the whole ledger of a directory at once, atomically; the same one again changes nothing.

    Raises:
        InputError: the directory cannot be written, or holds another ledger.
    """
    if paths.parts(directory):
        if sorted(ledger.read(directory), key=_place) != sorted(rows, key=_place):
            raise InputError(f"{directory} holds another ledger: give a directory of its own")
        return
    data = "".join(lines.text({"v": lines.VERSION, **row._asdict()}) + "\n" for row in rows).encode()
    try:
        atomic.write(paths.ledger(directory) / "part-000.jsonl", lambda file: file.write(data))
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error.strerror or error}") from None


def _place(row: Row) -> tuple[str, str]:
    return row.kind, row.key
