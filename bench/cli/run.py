"""`glideslope run`: train a suite and compare. Its options are also those of `plan`, `submit` and `bench/run.py`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING, get_args

from bench import extras, preempt
from bench.cli import publish
from bench.cli.options import Commands, assigned, new_console, nonempty, numbers, path, shard, whole
from bench.contract import EngineName, InputError
from bench.numerics import Precision
from bench.plan.plan import TUNE

if TYPE_CHECKING:
    from bench.runner.config import RunConfig

ENGINES = ("auto", *get_args(EngineName))


def add(commands: Commands) -> None:
    """Add `run` to the command line."""
    parser = commands.add_parser("run", help="train a suite and compare; the same command continues")
    arguments(parser)
    parser.set_defaults(do=run)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`, shared by `glideslope plan` and `bench/run.py`."""
    config_arguments(parser)
    add = parser.add_argument
    add("--shard", type=shard, default=(0, 1), metavar="I/N", help="only every N-th cohort from the I-th, 0-based")
    add("--assigned", type=assigned, metavar="FILE:I", help="only what `glideslope submit` gave to array task I")
    add("--plan", action="store_true", help="print what would run, with estimated cost, and stop")


def config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that configure training, shared by `run` and `submit`."""
    add = parser.add_argument
    add("suite", nargs="?", default="core", help="a suite of `glideslope list suites`, or a Python file with suite()")
    add("--out", type=path, metavar="DIR", help="where the ledger and the report go (default: runs/SUITE)")
    grid_arguments(parser)
    add("--engine", choices=ENGINES, default="auto", help="how members are trained side by side")
    add("--workers", type=whole, metavar="N", help="worker processes (default: one a CPU core; 1 on a GPU)")
    add("--data-parallel", action="store_true", help="train each cohort on all Accelerate processes")
    add("--precision", choices=get_args(Precision), help="of forward and backward (default: as accelerate has it)")
    add("--accumulate", type=whole, metavar="N", help="micro-batches that a process computes of each batch, in turn")
    add("--compile", action="store_true", help="compile models with torch.compile, once for all members")
    add("--width", type=whole, metavar="N", help="cells in a cohort at most (default: as memory allows, 512 at most)")
    add("--data", type=nonempty, metavar="DIR", help="folder of real data sets, or `hub` (default: $GLIDESLOPE_DATA)")
    directory_arguments(parser)
    round_arguments(parser)
    publish.option(parser)


def budget_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how long and how cells train."""
    add = parser.add_argument
    add(
        "--budgets",
        type=numbers,
        metavar="X,Y",
        help="fractions of each task's full epochs, such as 0.1,0.5,1 (default: the suite's)",
    )
    add("--epochs", type=numbers, metavar="X,Y", help="the same in epochs, such as 5,20")
    add("--batch-size", type=whole, metavar="N", help="examples in a batch of every task (default: the task's own)")
    add(
        "--weight-decays", "--weight-decay", type=numbers, metavar="X,Y", help="each of these (default: the task's own)"
    )
    add("--peak-lrs", type=numbers, metavar="X,Y", help="peak learning rates, the same for every strategy")
    add("--seeds", type=whole, metavar="N", help="number of seeds: 0 .. N-1 (default: the suite's)")


def grid_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that replace what a suite crosses."""
    add = parser.add_argument
    add(
        "--tasks",
        metavar="A,B",
        help="only these tasks, such as \"digits(epochs=5), digits(model='my_model.py:Net'), my_task.py:task\"",
    )
    add(
        "--schedules",
        metavar="A,B",
        help='these strategies instead, such as "cosine, wsd(cooldown=0.3), my_file.py:mine(k=3)"',
    )
    add("--reference", metavar="A", help="the strategy that the others are tested against (default: the suite's)")
    add("--optimizers", "--optimizer", metavar="A,B", help='these optimizers instead, such as "sgd, adamw(beta2=0.98)"')
    add("--averagings", metavar="A,B", help='also read the weights by these averages, such as "none, ema, lawa(k=3)"')
    budget_arguments(parser)


def directory_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what a run's directory holds besides its ledger."""
    add = parser.add_argument
    add("--snapshot-seconds", type=float, default=30.0, metavar="S", help="least time between snapshots (default: 30)")
    keep = "keep final weights in DIR/weights: of the chosen cell of each task, strategy and budget, or of all cells"
    add("--keep", choices=("best", "all", "none"), default="none", help=f"{keep} (default: none)")
    add("--extend", action="store_true", help="add to what --out holds a plan with all its cells and more")


def round_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments by which a run goes on in rounds."""
    add = parser.add_argument
    add(
        "--tune",
        type=whole,
        nargs="?",
        const=TUNE,
        metavar="N",
        help="where a chosen peak LR lies at an edge of its grid, go on with a wider one, N times a task at most "
        f"(default: as the suite has it; without a number, {TUNE})",
    )
    add("--until", choices=("decided",), help="add seeds to tasks that are not decided; needs --at-most")
    add("--at-most", type=whole, metavar="N", help="seeds at which `--until decided` ends in any case")


def config_of(args: argparse.Namespace) -> RunConfig:
    """The configuration that the arguments give.

    Raises:
        InputError: values out of range, or options that exclude each other.
    """
    extras.require("bench")
    from bench.runner.config import RunConfig

    for name in ("workers", "width"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise InputError(f"--{name} {value}: give 1 or more")
    if args.workers is not None and args.data_parallel:
        raise InputError("--workers and --data-parallel exclude each other: all processes train each cohort together")
    if not args.snapshot_seconds >= 0:
        raise InputError(f"--snapshot-seconds {args.snapshot_seconds}: give 0 or more")
    if args.assigned is not None and args.shard != (0, 1):
        raise InputError("--assigned and --shard exclude each other: each says which cohorts are to be done here")
    values = {f.name: getattr(args, f.name) for f in fields(RunConfig) if hasattr(args, f.name)}
    values |= {"backend": "inductor" if args.compile else None, "wandb": publish.wandb_mode(args)}
    return RunConfig(**values, cadence=args.snapshot_seconds)


def run(args: argparse.Namespace) -> int:
    """Train a suite; with `--plan`, print the plan only."""
    preempt.quiet_start()
    from bench.runner import preview, session

    if args.plan:
        return preview.show(config_of(args), new_console())
    return session.run(config_of(args), new_console())
