"""The command line of `glideslope`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from bench import preempt
from bench.cli import compare, conform, list, plan, publish, recommend, report, run, status, submit
from bench.cli.options import BAD_INPUT, Parser
from bench.contract import InputError
from bench.ledger import atomic

COMMANDS = (run, plan, report, compare, recommend, submit, status, publish, list, conform)
"""Files of commands, in the order of `glideslope --help`."""


def parser() -> Parser:
    """The whole command line."""
    top = Parser("glideslope", description="Which learning-rate decay ends best, by how much, and how sure are we?")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `glideslope`; bad input ends in one line and exit code 2."""
    own, extra = submit.split(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(own)
    args.extra = extra
    return guarded(args)


def guarded(args: argparse.Namespace) -> int:
    """Do what was parsed; whatever the user did wrong is one line on standard error."""
    try:
        return int(args.do(args))
    except InputError as error:
        if os.environ.get("RANK", "0") == "0":  # all processes find the same
            print(f"glideslope: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("glideslope: interrupted", file=sys.stderr)
        return preempt.PREEMPTED
    except (OSError, atomic.FullError) as error:
        if not atomic.full(error):
            return refused(error)
        print(f"glideslope: no room on the disk ({error}); free some, and the same command continues", file=sys.stderr)
        return 1


def refused(error: BaseException) -> int:
    """One line for a file that the system does not let us use; anything else of the system's is raised again."""
    if not isinstance(error, OSError) or error.filename is None:
        raise error
    place = error.filename if error.filename2 is None else error.filename2  # what a file is moved to
    print(f"glideslope: cannot use {os.fsdecode(place)}: {error.strerror}", file=sys.stderr)
    return BAD_INPUT
