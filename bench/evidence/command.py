"""What the command line says of evidence: `report`, `import`, `recommend` and `compare`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it


def add(commands: Commands) -> None:
    """The commands that read ledgers."""
    it = commands.add_parser("report", help="rebuild tables, figures and page from a ledger alone")
    it.add_argument("directory", type=Path, metavar="DIR")
    it.set_defaults(do=report)
    it = commands.add_parser("import", help="turn published logs into a ledger, for the same tables")
    it.add_argument("file", type=Path, metavar="FILE")
    it.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the ledger goes")
    it.add_argument("--format", default="llama-csv", metavar="F", help="the kind of file (default: llama-csv)")
    it.set_defaults(do=bring)


def report(args: argparse.Namespace) -> int:
    """`glideslope report`."""
    from rich.console import Console

    from bench.evidence import report as page
    from bench.evidence.study import KINDS
    from bench.record import ledger

    console, notes = Console(), list[str]()
    rows = ledger.read(args.directory, notes, KINDS)
    path = page.write(args.directory, rows)
    page.show(rows, console)
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(f"Report: {path}", highlight=False, soft_wrap=True)
    return 0


def bring(args: argparse.Namespace) -> int:
    """`glideslope import`."""
    from bench.evidence import formats

    rows = formats.bring(args.file, args.format, args.out)
    cells = sum(row["kind"] == "cell" for row in rows)
    print(f"{cells:,} published cells in {args.out}; their tables: glideslope report {args.out}")
    return 0
