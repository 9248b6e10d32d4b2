"""`glideslope recommend`: which decay to take for a task and a budget, from ledgers at hand."""

from __future__ import annotations

import argparse

from bench.cli.options import Commands, path
from bench.contract import InputError


def add(commands: Commands) -> None:
    """Add `recommend` to the command line."""
    parser = commands.add_parser("recommend", help="which decay to take for a task and a budget, from ledgers at hand")
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--task", metavar="T", help="a task, such as digits or \"digits(model='cnn')\"")
    subject.add_argument("--family", metavar="F", help="all tasks of a family, such as image")
    add = parser.add_argument
    add("--epochs", type=float, required=True, metavar="E", help="the budget, in epochs")
    add("--ledger", type=path, nargs="+", default=[], metavar="DIR", help="default: runs/ and our results")
    add("--long", action="store_true", help="all tasks, reasons, and the tables that the answer rests on")
    parser.set_defaults(do=recommend)


def recommend(args: argparse.Namespace) -> int:
    """Print a recommendation.

    Raises:
        InputError: a budget that is no number above 0, or no ledger that has the task.
    """
    from rich.console import Console

    from bench.analysis.recommendation import at_hand, gather
    from bench.report.sections.recommendation import show

    if not 0 < args.epochs < float("inf"):
        raise InputError(f"--epochs {args.epochs:g}: give a number above 0")
    notes: list[str] = []
    evidence = gather(at_hand(args.ledger, notes), args.task, args.family, args.epochs)
    show(evidence, args.task or f"family {args.family}", args.epochs, Console(), long=args.long)
    for note in notes if args.long else notes[:1]:
        print(f"note: {note}")
    if len(notes) > 1 and not args.long:
        print(f"note: {len(notes) - 1} more with --long")
    return 0
