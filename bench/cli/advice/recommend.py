"""`glideslope recommend`: which decay to take for a task and a budget, from ledgers at hand."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bench import extras
from bench.cli.options import Commands, new_console, path
from bench.contract import InputError

if TYPE_CHECKING:
    from bench.analysis.recommend.recommendation import Recommendation


def add(commands: Commands) -> None:
    """Add `recommend` to the command line."""
    parser = commands.add_parser("recommend", help="which decay to take for a task and a budget, from ledgers at hand")
    arguments(parser)
    parser.set_defaults(do=recommend)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `recommend`."""
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--task", metavar="T", help="a task, such as digits or \"digits(model='cnn')\"")
    subject.add_argument("--family", metavar="F", help="all tasks of a family, such as image")
    add = parser.add_argument
    add("--epochs", type=float, required=True, metavar="E", help="the budget, in epochs")
    add("--ledger", type=path, nargs="+", default=[], metavar="DIR", help="default: runs/ and our results")
    add("--long", action="store_true", help="all tasks, reasons, and the tables that the answer rests on")


def recommendation(args: argparse.Namespace) -> tuple[Recommendation, list[str]]:
    """The recommendation that the arguments ask for, and notes on ledgers.

    Raises:
        InputError: a budget that is no number above 0, or no ledger that has the task.
    """
    extras.require("report")
    from bench.analysis.recommend.evidence import at_hand, gather, kindred
    from bench.analysis.recommend.recommendation import Recommendation

    if not 0 < args.epochs < float("inf"):
        raise InputError(f"--epochs {args.epochs:g}: give a number above 0")
    notes: list[str] = []
    ledgers = at_hand(args.ledger, notes)
    evidence = gather(ledgers, args.task, args.family, args.epochs)
    if args.family is not None:
        return Recommendation.of(args.family, True, args.epochs, evidence), notes
    return Recommendation.of(args.task, False, args.epochs, evidence, kindred(ledgers, args.task)), notes


def recommend(args: argparse.Namespace) -> int:
    """Print a recommendation."""
    from bench.report.numbers import quantity
    from bench.report.sections.recommendation import show

    advice, notes = recommendation(args)
    show(advice, new_console(), long=args.long)
    for note in notes if args.long else ():
        print(f"note: {note}")
    if advice.evidence and not args.long:
        more = f", and {quantity(len(notes), 'notes')} on ledgers" if notes else ""
        print(f"--long shows the tables and reasons{more}.")
    return 0
