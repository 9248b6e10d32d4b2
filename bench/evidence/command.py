"""What the command line says of evidence: `report`, `import`, `recommend`, `compare` and `claims`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bench.contract import InputError
from bench.options import path

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]  # argparse has no public name for it


def add(commands: Commands) -> None:
    """The commands that read ledgers."""
    it = commands.add_parser("report", help="rebuild tables, figures and page from a ledger alone")
    it.add_argument("directory", type=path, metavar="DIR")
    it.set_defaults(do=report)
    it = commands.add_parser("claims", help="judge what a textbook claims of decay on the ledgers of several runs")
    it.add_argument(
        "directories", type=path, nargs="+", metavar="DIR", help="runs; each task is judged from one of them"
    )
    it.add_argument("--out", type=path, required=True, metavar="FILE", help="the page, such as results/claims.md")
    it.add_argument("--costs", type=path, metavar="FILE", help="what deciding the LR costs, by tests/schedules/cost.py")
    it.set_defaults(do=claims)
    it = commands.add_parser("import", help="turn published logs into a ledger, for the same tables")
    it.add_argument("file", type=path, metavar="FILE")
    it.add_argument("--out", type=path, required=True, metavar="DIR", help="where the ledger goes")
    it.add_argument("--format", default="llama-csv", metavar="F", help="the kind of file (default: llama-csv)")
    it.set_defaults(do=bring)
    it = commands.add_parser("recommend", help="which decay to take for a task and a budget, from ledgers at hand")
    what = it.add_mutually_exclusive_group(required=True)
    what.add_argument("--task", metavar="T", help="a task, such as digits or \"digits(model='cnn')\"")
    what.add_argument("--family", metavar="F", help="all tasks of a family, such as image")
    it.add_argument("--epochs", type=float, required=True, metavar="E", help="the budget, in epochs")
    it.add_argument("--ledger", type=path, nargs="+", default=[], metavar="DIR", help="default: runs/ and our results")
    it.add_argument("--long", action="store_true", help="all tasks, reasons, and the tables that the answer rests on")
    it.set_defaults(do=recommend)
    it = commands.add_parser("compare", help="what changed between two ledgers, and whether it is significant")
    it.add_argument("first", type=path, metavar="DIR1")
    it.add_argument("second", type=path, metavar="DIR2")
    it.set_defaults(do=compare)


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
    console.print(f"Report: {path}", highlight=False, markup=False, soft_wrap=True)
    return 0


def bring(args: argparse.Namespace) -> int:
    """`glideslope import`."""
    from bench.evidence import formats

    rows = formats.bring(args.file, args.format, args.out)
    cells = sum(row["kind"] == "cell" for row in rows)
    print(f"{cells:,} published cells in {args.out}; their tables: glideslope report {args.out}")
    return 0


def recommend(args: argparse.Namespace) -> int:
    """`glideslope recommend`."""
    from rich.console import Console

    from bench.evidence import advice, recommend

    if not 0 < args.epochs < float("inf"):
        raise InputError(f"--epochs {args.epochs:g}: give a number above 0")
    notes: list[str] = []
    ledgers = recommend.at_hand(args.ledger, notes)
    found = recommend.gather(ledgers, args.task, args.family, args.epochs)
    advice.show(found, args.task or f"family {args.family}", args.epochs, Console(), long=args.long)
    for note in notes if args.long else notes[:1]:
        print(f"note: {note}")
    if len(notes) > 1 and not args.long:
        print(f"note: {len(notes) - 1} more with --long")
    return 0


def compare(args: argparse.Namespace) -> int:
    """`glideslope compare`."""
    from rich.console import Console

    from bench.evidence import account, changes

    notes: list[str] = []
    account.show(changes.read(args.first, args.second, notes), Console())
    for note in notes:
        print(f"note: {note}")
    return 0


def claims(args: argparse.Namespace) -> int:
    """`glideslope claims`."""
    from bench.evidence import judgement

    judgement.write(args.directories, args.out, args.costs)
    print(f"Claims: {args.out}")
    return 0
