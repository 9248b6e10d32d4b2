"""`glideslope plan`: what would run, what sharing saves, and what it costs."""

from __future__ import annotations

import argparse

from bench.cli import run
from bench.cli.options import Commands, new_console


def add(commands: Commands) -> None:
    """Add `plan` to the command line."""
    parser = commands.add_parser("plan", help="print what would run, what sharing saves, and what it costs")
    run.arguments(parser)
    parser.set_defaults(do=plan)


def plan(args: argparse.Namespace) -> int:
    """Print the plan."""
    from bench.runner import preview

    return preview.show(run.config_of(args), new_console())
