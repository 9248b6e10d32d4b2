"""What the command line says of what is derived from ledgers: `report` and `claims`."""

from __future__ import annotations

import argparse
from pathlib import Path


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


def claims_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `claims`."""
    add = parser.add_argument
    add("directories", type=Path, nargs="+", metavar="DIR", help="runs; a task that several have is judged from one")
    add("--out", type=Path, required=True, metavar="FILE", help="the page to write, such as results/claims.md")
    add("--costs", type=Path, metavar="FILE", help="what deciding the LR costs, from tests/schedules/cost.py")


def claims(args: argparse.Namespace) -> int:
    """`glideslope claims`."""
    from bench.evidence import judgement

    judgement.write(args.directories, args.out, args.costs)
    print(f"Claims: {args.out}")
    return 0
