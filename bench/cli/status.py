"""`glideslope status`: how far a run is."""

from __future__ import annotations

import argparse

from bench.cli.options import Commands, new_console, path


def add(commands: Commands) -> None:
    """Add `status` to the command line."""
    parser = commands.add_parser("status", help="how far a run is: done, running, waiting, failed, time left")
    parser.add_argument("directory", type=path, metavar="DIR")
    parser.set_defaults(do=show)


def show(args: argparse.Namespace) -> int:
    """Print how far the run is."""
    from bench.slurm import status

    return status.show(args.directory, new_console())
