"""`glideslope conform`: our schedules compared with those of the installed libraries."""

from __future__ import annotations

import argparse

from bench.cli.options import Commands, new_console, path


def add(commands: Commands) -> None:
    """Add `conform` to the command line."""
    parser = commands.add_parser("conform", help="compare our schedules with those of the libraries installed")
    parser.add_argument("--out", type=path, metavar="DIR", help="write tables, figures and a page there")
    parser.set_defaults(do=conform)


def conform(args: argparse.Namespace) -> int:
    """Print the comparison, and write a page if asked to."""
    from bench.conformance import report

    return report.run(args.out, new_console())
