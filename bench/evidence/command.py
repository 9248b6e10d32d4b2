"""What the command line says of evidence: `report` and `claims`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]  # argparse has no public name for it


def add(commands: Commands) -> None:
    """The commands that read ledgers."""
    it = commands.add_parser("report", help="rebuild tables, figures and page from a ledger alone")
    it.add_argument("directory", type=Path, metavar="DIR")
    it.set_defaults(do=report)
    it = commands.add_parser("claims", help="judge what a textbook claims of decay on the ledgers of several runs")
    it.add_argument(
        "directories", type=Path, nargs="+", metavar="DIR", help="runs; each task is judged from one of them"
    )
    it.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page, such as results/claims.md")
    it.add_argument("--costs", type=Path, metavar="FILE", help="what deciding the LR costs, by tests/schedules/cost.py")
    it.set_defaults(do=claims)


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


def claims(args: argparse.Namespace) -> int:
    """`glideslope claims`."""
    from bench.evidence import judgement

    judgement.write(args.directories, args.out, args.costs)
    print(f"Claims: {args.out}")
    return 0
