"""`glideslope compare` and `glideslope claims`: comparisons of several ledgers."""

from __future__ import annotations

import argparse

from bench import extras
from bench.cli.options import Commands, new_console, path


def add(commands: Commands) -> None:
    """Add `compare` and `claims` to the command line."""
    parser = commands.add_parser("compare", help="what changed between two ledgers, and whether it is significant")
    parser.add_argument("first", type=path, metavar="DIR1")
    parser.add_argument("second", type=path, metavar="DIR2")
    parser.set_defaults(do=compare)
    parser = commands.add_parser("claims", help="judge what a textbook claims of decay on the ledgers of several runs")
    directories = "runs; each task is judged from one of them"
    parser.add_argument("directories", type=path, nargs="+", metavar="DIR", help=directories)
    parser.add_argument("--out", type=path, required=True, metavar="FILE", help="the page, such as results/claims.md")
    costs = "what deciding the LR costs, by tests/schedules/cost.py"
    parser.add_argument("--costs", type=path, metavar="FILE", help=costs)
    parser.set_defaults(do=claims)


def compare(args: argparse.Namespace) -> int:
    """Print the changes between two ledgers."""
    extras.require("report")
    from bench.analysis import changes
    from bench.report.sections.changes import show

    notes: list[str] = []
    show(changes.read(args.first, args.second, notes), new_console())
    for note in notes:
        print(f"note: {note}")
    return 0


def claims(args: argparse.Namespace) -> int:
    """Write the page that judges the claims."""
    extras.require("report")
    from bench.report.textbook.claims import write

    write(args.directories, args.out, args.costs)
    print(f"Claims: {args.out}")
    return 0
