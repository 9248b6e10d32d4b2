"""`glideslope plan|run|report|publish|list|conform`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bench.contract import InputError

if TYPE_CHECKING:
    from bench.order import Order

BAD_INPUT = 2
WANDB = ("off", "offline", "online")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"glideslope: {message} (see {self.prog} --help)\n")


def numbers(text: str) -> tuple[float, ...]:
    """Comma-separated numbers."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} should be numbers with commas between, such as 0.1,0.5,1") from None


def shard(text: str) -> tuple[int, int]:
    """`i/n`, 0-based."""
    try:
        i, n = map(int, text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} should be i/n, such as 0/8") from None
    return i, n


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `run`, shared by `glideslope run`, `glideslope plan` and `bench/run.py`."""
    add = parser.add_argument
    add("suite", nargs="?", default="core", help="a suite of `glideslope list suites`, or a Python file with suite()")
    add("--out", type=Path, metavar="DIR", help="where the ledger and the report go (default: runs/SUITE)")
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
    add("--shard", type=shard, default=(0, 1), metavar="I/N", help="only every N-th cohort from the I-th, 0-based")
    add("--workers", type=int, metavar="N", help="worker processes (default: one a CPU core; 1 on a GPU)")
    add("--data-parallel", action="store_true", help="train each cohort on all Accelerate processes")
    add("--snapshot-seconds", type=float, default=30.0, metavar="S", help="time between snapshots (default: 30)")
    add(
        "--wandb",
        choices=WANDB,
        default=os.environ.get("GLIDESLOPE_WANDB", "off"),
        help="mirror each cell as a W&B run",
    )
    add("--plan", action="store_true", help="print what would run, with estimated cost, and stop")


def order(args: argparse.Namespace) -> Order:
    """The order that the arguments spell."""
    from bench.order import Order

    if args.workers is not None and args.workers < 1:
        raise InputError(f"--workers {args.workers}: give 1 or more")
    if args.workers is not None and args.data_parallel:
        raise InputError("--workers and --data-parallel exclude each other: all processes train each cohort together")
    if not args.snapshot_seconds >= 0:
        raise InputError(f"--snapshot-seconds {args.snapshot_seconds}: give 0 or more")
    if args.wandb not in WANDB:
        raise InputError(f"GLIDESLOPE_WANDB is {args.wandb!r}: it should be one of {', '.join(WANDB)}")
    return Order(
        suite=args.suite,
        out=args.out,
        tasks=args.tasks,
        schedules=args.schedules,
        budgets=args.budgets,
        peak_lrs=args.peak_lrs,
        seeds=args.seeds,
        engine=args.engine,
        shard=args.shard,
        workers=args.workers,
        data_parallel=args.data_parallel,
        cadence=args.snapshot_seconds,
        wandb=args.wandb,
    )


def run(args: argparse.Namespace) -> int:
    """`glideslope run`."""
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


def report(args: argparse.Namespace) -> int:
    """`glideslope report`."""
    from rich.console import Console

    from bench.evidence import report as page
    from bench.record import ledger

    console, notes = Console(), list[str]()
    rows = ledger.read(args.directory, notes)
    path = page.write(args.directory, rows)
    page.show(rows, console)
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(f"Report: {path}", highlight=False, soft_wrap=True)
    return 0


def publish(args: argparse.Namespace) -> int:
    """`glideslope publish`."""
    from rich.console import Console

    from bench.mirror.publish import Wish
    from bench.mirror.publish import publish as bring

    wish = Wish(
        directory=args.directory, entity=args.entity, project=args.project, report=args.report, final=args.final
    )
    return bring(wish, Console())


def listing(args: argparse.Namespace) -> int:
    """`glideslope list`."""
    from rich.console import Console

    from bench import listing

    if args.what != "schedules" and (args.long or args.page):
        raise InputError(f"list {args.what}: --long and --page are of schedules alone")
    listing.show(args.what, Console(), long=args.long)
    if args.page:
        from bench import gallery

        gallery.write(args.page)
    return 0


def conform(args: argparse.Namespace) -> int:
    """`glideslope conform`."""
    from rich.console import Console

    from bench.conform import report

    return report.run(args.out, Console())


def parser() -> Parser:
    """The whole command line."""
    top = Parser(
        prog="glideslope", description="Which learning-rate decay ends best, by how much, and how sure are we?"
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    it = commands.add_parser("run", help="train a suite and compare; the same command continues")
    run_arguments(it)
    it.set_defaults(do=run)
    it = commands.add_parser("plan", help="print what would run, what sharing saves, and what it costs")
    run_arguments(it)
    it.set_defaults(do=plan)
    it = commands.add_parser("report", help="rebuild tables, figures and page from a ledger alone")
    it.add_argument("directory", type=Path, metavar="DIR")
    it.set_defaults(do=report)
    it = commands.add_parser(
        "publish", help="bring W&B to the state of a ledger, exactly once, and write a report there"
    )
    it.add_argument("directory", type=Path, metavar="DIR")
    it.add_argument("--entity", metavar="E", help="user or team (default: WANDB_ENTITY, then your own)")
    it.add_argument("--project", metavar="P", help="project (default: WANDB_PROJECT, then glideslope)")
    it.add_argument("--report", action="store_true", help="write a W&B Report, too, or renew the one there: a draft")
    it.add_argument("--final", action="store_true", help="publish the report to all who may see the project")
    it.set_defaults(do=publish)
    it = commands.add_parser("list", help="what there is: tasks, schedules, suites")
    it.add_argument("what", choices=("tasks", "schedules", "suites"))
    it.add_argument("--long", action="store_true", help="of schedules: formulas, settings, sources")
    it.add_argument("--page", type=Path, metavar="FILE", help="of schedules: write a page with every curve drawn")
    it.set_defaults(do=listing)
    it = commands.add_parser("conform", help="hold our schedules against those of the libraries installed")
    it.add_argument("--out", type=Path, metavar="DIR", help="write tables, figures and a page there")
    it.set_defaults(do=conform)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `glideslope`; bad input ends in one line and exit code 2."""
    return guarded(parser().parse_args(argv))


def guarded(args: argparse.Namespace) -> int:
    """Do what was parsed; whatever the user did wrong is one line on standard error."""
    try:
        return int(args.do(args))
    except InputError as error:
        if os.environ.get("RANK", "0") == "0":  # all processes find the same
            print(f"glideslope: {error}", file=sys.stderr)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
