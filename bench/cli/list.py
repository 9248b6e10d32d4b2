"""`glideslope list`: the catalogues of tasks, schedules, optimizers, averagings, suites and data sets."""

from __future__ import annotations

import argparse

from bench.cli.options import Commands, new_console, path
from bench.contract import InputError


def add(commands: Commands) -> None:
    """Add `list` to the command line."""
    parser = commands.add_parser(
        "list", help="what there is: tasks, schedules, optimizers, averagings, suites, data sets"
    )
    parser.add_argument("catalogue", choices=("tasks", "schedules", "optimizers", "averagings", "suites", "data"))
    parser.add_argument("--long", action="store_true", help="of schedules and tasks: all there is to know")
    parser.add_argument("--page", type=path, metavar="FILE", help="of schedules: a page with every curve drawn")
    parser.set_defaults(do=show)


def show(args: argparse.Namespace) -> int:
    """Print a catalogue.

    Raises:
        InputError: an option that the catalogue does not have.
    """
    from bench.report import catalogue

    if args.long and args.catalogue not in ("schedules", "tasks"):
        raise InputError(f"list {args.catalogue}: --long is for schedules and tasks only")
    if args.page and args.catalogue != "schedules":
        raise InputError(f"list {args.catalogue}: --page is for schedules only")
    if args.page:  # first, since it may be refused
        from bench.report import gallery

        gallery.write(args.page)
    catalogue.show(args.catalogue, new_console(), long=args.long)
    return 0
