"""The command line of `glideslope`.

Imports wait until `main` has seen to Ctrl-C, and heavy ones until a command needs them.
"""

from __future__ import annotations

import os
import sys

from bench import preempt

TYPE_CHECKING = False  # as type checkers know it: to import typing would take as long as all the rest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bench.cli.options import Parser


def parser() -> Parser:
    """The whole command line, with the commands in the order of `glideslope --help`."""
    from bench.cli import compare, conform, list, plan, publish, report, run, status, submit
    from bench.cli.advice import predict, recommend
    from bench.cli.models import export, train
    from bench.cli.options import Parser

    top = Parser("glideslope", description="Which learning-rate decay ends best, by how much, and how sure are we?")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (
        run,
        plan,
        report,
        compare,
        recommend,
        predict,
        export,
        train,
        submit,
        status,
        publish,
        list,
        conform,
    ):
        command.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `glideslope`; bad input ends in one line and exit code 2.

    Without arguments of a caller, it is the process: Ctrl-C ends it without a traceback at any moment.
    """
    if argv is None:
        preempt.quiet_start()
    from bench.cli import submit

    own, extra = submit.split(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(own)
    args.extra = extra
    return execute(args)


def execute(args: argparse.Namespace) -> int:
    """Run the parsed command and return its exit code. An error of the user is one line on standard error."""
    from bench import extras
    from bench.contract import InputError
    from bench.ledger import atomic

    try:
        with preempt.interruptible():
            return int(args.do(args))
    except InputError as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        if (line := extras.explain(error)) is None:
            raise
        return _refuse(line)
    except KeyboardInterrupt:
        print("glideslope: interrupted", file=sys.stderr)
        return preempt.PREEMPTED
    except (OSError, atomic.FullError) as error:
        if not atomic.full(error):
            return report_os_error(error)
        print(f"glideslope: no room on the disk ({error}); free some, and the same command continues", file=sys.stderr)
        return 1


def _refuse(line: str) -> int:
    """Print why the input is bad, once for all processes of a launcher, and return the exit code."""
    from bench.cli.options import BAD_INPUT

    if _tells():
        print(f"glideslope: {line}", file=sys.stderr)
    return BAD_INPUT


def _tells() -> bool:
    """True for the first process, as all raise the same; and for one whose place is none, which others may not see."""
    rank, size = (os.environ.get(name, usual) for name, usual in (("RANK", "0"), ("WORLD_SIZE", "1")))
    return not rank.isdigit() or not size.isdigit() or not 0 < int(rank) < int(size)


def report_os_error(error: BaseException) -> int:
    """Print one line about a file that cannot be used; an error that names no file is raised again."""
    if not isinstance(error, OSError) or error.filename is None:
        raise error
    place = error.filename if error.filename2 is None else error.filename2  # the second is the target of a move
    from bench.cli.options import BAD_INPUT

    print(f"glideslope: cannot use {os.fsdecode(place)}: {error.strerror}", file=sys.stderr)
    return BAD_INPUT
