"""The command line of `glideslope`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from bench.cluster import command
from bench.contract import InputError
from bench.evidence import command as evidence
from bench.mirror import command as wandb
from bench.options import BAD_INPUT, assigned, named, numbers, path, shard
from bench.options import Parser as Parser  # handed on: bench/run.py has one, too
from bench.record import disk, preempt

if TYPE_CHECKING:
    from bench.order import Order


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `run`, shared by `glideslope run`, `glideslope plan` and `bench/run.py`."""
    order_arguments(parser)
    add = parser.add_argument
    add("--shard", type=shard, default=(0, 1), metavar="I/N", help="only every N-th cohort from the I-th, 0-based")
    add("--assigned", type=assigned, metavar="FILE:I", help="only what `glideslope submit` gave to array task I")
    add("--plan", action="store_true", help="print what would run, with estimated cost, and stop")


def order_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say what is trained and how, shared by `run` and `submit`."""
    add = parser.add_argument
    add("suite", nargs="?", default="core", help="a suite of `glideslope list suites`, or a Python file with suite()")
    add("--out", type=path, metavar="DIR", help="where the ledger and the report go (default: runs/SUITE)")
    add("--tasks", metavar="A,B", help="only these tasks, such as \"digits,digits(model='cnn')\"")
    add(
        "--schedules",
        metavar="A,B",
        help='these strategies instead, such as "cosine, wsd(cooldown=0.3), my_file.py:mine(k=3)"',
    )
    add("--budgets", type=numbers, metavar="X,Y", help="fractions of each task's full epochs, such as 0.1,0.5,1")
    add("--peak-lrs", type=numbers, metavar="X,Y", help="peak learning rates, the same for every strategy")
    add("--seeds", type=int, metavar="N", help="number of seeds: 0 .. N-1")
    add("--engine", choices=("auto", "modules", "stacked"), default="auto", help="how members are trained side by side")
    add("--workers", type=int, metavar="N", help="worker processes (default: one a CPU core; 1 on a GPU)")
    add("--data-parallel", action="store_true", help="train each cohort on all Accelerate processes")
    add("--precision", choices=("fp32", "bf16", "fp16"), help="of forward and backward (default: as accelerate has it)")
    add("--accumulate", type=int, metavar="N", help="micro-batches that a process computes of each batch, in turn")
    add("--compile", action="store_true", help="compile models with torch.compile, once for all members")
    add("--width", type=int, metavar="N", help="cells in a cohort at most (default: as memory allows, 512 at most)")
    add("--snapshot-seconds", type=float, default=30.0, metavar="S", help="least time between snapshots (default: 30)")
    add(
        "--data",
        type=named,
        metavar="DIR",
        help="folder of the real data sets, or `hub` (default: $GLIDESLOPE_DATA)",
    )
    add("--extend", action="store_true", help="add to what --out holds a plan with all its cells and more")
    wandb.option(parser)


def order(args: argparse.Namespace) -> Order:
    """The order that the arguments spell."""
    from bench.order import Order

    for name in ("workers", "width"):
        if (given := getattr(args, name)) is not None and given < 1:
            raise InputError(f"--{name} {given}: give 1 or more")
    if args.workers is not None and args.data_parallel:
        raise InputError("--workers and --data-parallel exclude each other: all processes train each cohort together")
    if not args.snapshot_seconds >= 0:
        raise InputError(f"--snapshot-seconds {args.snapshot_seconds}: give 0 or more")
    if args.assigned is not None and args.shard != (0, 1):
        raise InputError("--assigned and --shard exclude each other: each says which cohorts are to be done here")
    given = {f.name: getattr(args, f.name) for f in fields(Order) if hasattr(args, f.name)}
    given |= {"backend": "inductor" if args.compile else None, "wandb": wandb.chosen(args)}
    return Order(**given, cadence=args.snapshot_seconds)


def run(args: argparse.Namespace) -> int:
    """`glideslope run`."""
    preempt.quiet_start()
    from rich.console import Console

    from bench import session

    if args.plan:
        return plan(args)
    return session.run(order(args), Console())


def plan(args: argparse.Namespace) -> int:
    """`glideslope plan`."""
    from rich.console import Console

    from bench import outlook

    return outlook.show(order(args), Console())


def submit(args: argparse.Namespace) -> int:
    """`glideslope submit`."""
    from rich.console import Console

    from bench.cluster import submission

    return submission.submit(order(args), command.request(args), Console())


def status(args: argparse.Namespace) -> int:
    """`glideslope status`."""
    from rich.console import Console

    from bench.cluster import status

    return status.show(args.directory, Console())


def listing(args: argparse.Namespace) -> int:
    """`glideslope list`."""
    from rich.console import Console

    from bench import listing

    if args.long and args.what not in ("schedules", "tasks"):
        raise InputError(f"list {args.what}: --long is of schedules and tasks alone")
    if args.page and args.what != "schedules":
        raise InputError(f"list {args.what}: --page is of schedules alone")
    if args.page:  # first: it may be refused
        from bench import gallery

        gallery.write(args.page)
    listing.show(args.what, Console(), long=args.long)
    return 0


def conform(args: argparse.Namespace) -> int:
    """`glideslope conform`."""
    from rich.console import Console

    from bench.conform import report

    return report.run(args.out, Console())


def parser() -> Parser:
    """The whole command line."""
    top = Parser("glideslope", description="Which learning-rate decay ends best, by how much, and how sure are we?")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    it = commands.add_parser("run", help="train a suite and compare; the same command continues")
    run_arguments(it)
    it.set_defaults(do=run)
    it = commands.add_parser("plan", help="print what would run, what sharing saves, and what it costs")
    run_arguments(it)
    it.set_defaults(do=plan)
    evidence.add(commands)
    it = commands.add_parser("submit", help="run a suite as a SLURM array job", usage=command.USAGE)
    order_arguments(it)
    command.arguments(it)
    it.set_defaults(do=submit, shard=(0, 1), assigned=None)
    it = commands.add_parser("status", help="how far a run is: done, running, waiting, failed, time left")
    it.add_argument("directory", type=path, metavar="DIR")
    it.set_defaults(do=status)
    it = commands.add_parser("publish", help="bring W&B to the state of a ledger, exactly once, with a report")
    wandb.arguments(it)
    it.set_defaults(do=wandb.publish)
    it = commands.add_parser("list", help="what there is: tasks, schedules, suites, data sets")
    it.add_argument("what", choices=("tasks", "schedules", "suites", "data"))
    it.add_argument("--long", action="store_true", help="of schedules and tasks: all there is to know")
    it.add_argument("--page", type=path, metavar="FILE", help="of schedules: a page with every curve drawn")
    it.set_defaults(do=listing)
    it = commands.add_parser("conform", help="hold our schedules against those of the libraries installed")
    it.add_argument("--out", type=path, metavar="DIR", help="write tables, figures and a page there")
    it.set_defaults(do=conform)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `glideslope`; bad input ends in one line and exit code 2."""
    own, extra = command.split(sys.argv[1:] if argv is None else argv)
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
    except (OSError, disk.FullError) as error:
        if not disk.full(error):
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


if __name__ == "__main__":
    sys.exit(main())
