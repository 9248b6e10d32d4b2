"""`glideslope submit`: a suite as a SLURM array job."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.cli import run
from bench.cli.options import Commands, new_console, whole
from bench.contract import InputError

if TYPE_CHECKING:
    from bench.slurm.request import Resources

USAGE = "glideslope submit [SUITE] [options] [-- any options of sbatch]"


def split(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """(words of `glideslope`, options of sbatch). The latter follow `--`; argparse would take them for its own."""
    if words[:1] != ["submit"] or "--" not in words:
        return list(words), ()
    at = words.index("--")
    return list(words[:at]), tuple(words[at + 1 :])


def add(commands: Commands) -> None:
    """Add `submit` to the command line."""
    parser = commands.add_parser("submit", help="run a suite as a SLURM array job", usage=USAGE)
    run.config_arguments(parser)
    arguments(parser)
    parser.set_defaults(do=submit, shard=(0, 1), assigned=None)


def submit(args: argparse.Namespace) -> int:
    """Write the batch scripts and submit them."""
    from bench.slurm import submission

    return submission.submit(run.config_of(args), request(args), new_console())


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `submit` that do not configure training."""
    add = parser.add_argument
    add("--array", type=whole, metavar="N", help="array tasks (default: of about half an hour each, as predicted)")
    add("--max-parallel", type=whole, metavar="N", help="array tasks at once (default: as many as the cluster lets)")
    add("--partition", metavar="P", help="where both jobs run (default: the cluster's own)")
    add("--time", metavar="T", help="limit of an array task, such as 4:00:00 (default: the partition's)")
    add("--cpus", type=whole, default=1, metavar="N", help="CPU cores of a process, a worker each (default: 1)")
    add("--gpus", type=whole, default=0, metavar="N", help="GPUs on each node of an array task (default: 0)")
    add(
        "--nodes", type=whole, default=1, metavar="N", help="nodes of an array task, under --data-parallel (default: 1)"
    )
    add("--retries", type=whole, default=10, metavar="N", help="restarts of an array task at most (default: 10)")
    add("--setup", action="append", default=[], metavar="LINE", help='a shell line before, "module load cuda"; repeat')
    add("--python", metavar="WORDS", help='instead of this Python, such as "apptainer exec --nv it.sif python"')
    add("--only-missing", action="store_true", help="only cohorts that are not done yet")
    add("--dry-run", action="store_true", help="write the scripts, and submit nothing")


def _python(text: str | None) -> tuple[str, ...]:
    """The words that start Python; this one if none are given."""
    if text is None:
        return (sys.executable,)
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise InputError(f"--python {text!r}: {error}") from None


def request(args: argparse.Namespace) -> Resources:
    """The resources that the arguments request of SLURM."""
    from bench.slurm.request import Resources

    return Resources(
        array=args.array,
        max_parallel=args.max_parallel,
        partition=args.partition,
        time=args.time,
        cpus=args.cpus,
        gpus=args.gpus,
        nodes=args.nodes,
        retries=args.retries,
        setup=tuple(args.setup),
        python=_python(args.python),
        only_missing=args.only_missing,
        dry_run=args.dry_run,
        extra=args.extra,
    )
