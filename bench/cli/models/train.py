"""`glideslope train`: one model by the strategy that a run's ledger recommends, on all training data, to take home."""

from __future__ import annotations

import argparse
import math

from bench import preempt
from bench.cli.models import export
from bench.cli.options import Commands, new_console, path, whole
from bench.contract import InputError


def add(commands: Commands) -> None:
    """Add `train` to the command line."""
    parser = commands.add_parser("train", help="one model by the recommended strategy, on all training data")
    add = parser.add_argument
    add("--recommended", type=path, required=True, metavar="DIR", help="the --out of a run that compared strategies")
    add("--task", required=True, metavar="T", help="a task of the run, such as digits")
    add("--epochs", type=float, required=True, metavar="E", help="the budget, in epochs")
    add("--seed", type=whole, default=0, metavar="N", help="(default: 0)")
    export.arguments(parser)
    parser.set_defaults(do=train)


def train(args: argparse.Namespace) -> int:
    """Train a model and export it; the same command continues.

    Raises:
        InputError: a budget or a seed out of range, or nothing that is recommended.
    """
    preempt.quiet_start()
    from bench.export import folder, formats, training
    from bench.export.winner import Request, find
    from bench.ledger import paths
    from bench.report.numbers import quantity
    from bench.report.sections.recommendation import paragraph

    if not 0 < args.epochs < math.inf:
        raise InputError(f"--epochs {args.epochs:g}: give a number above 0")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed}: give 0 or more")
    directory = paths.training(args.to)
    folder.check_empty(args.to, besides=[directory.name])
    formats.check(args.format)
    export.use_data(args)
    advice = training.advice(args.recommended, args.task, args.epochs)
    preparation = training.prepare(advice.settings, args.epochs, args.seed)
    settings, task, sizes = advice.settings, preparation.task, preparation.task.load()
    splits = (
        f"the train split alone, as {preparation.obstacle}" if preparation.obstacle else "train and control together"
    )
    trained = (
        f"Trained by {settings.schedule} at peak LR {settings.peak_lr:g} for {quantity(args.epochs, 'epochs')} on "
        f"{len(sizes.train):,} examples: {splits}. Test had no part in it."
    )
    console = new_console()
    console.print(trained.replace("Trained", "Training", 1), highlight=False, markup=False, soft_wrap=True)
    if code := training.train(preparation, directory, console):
        return code
    winner = find(directory, Request(task.name))
    why = [trained, f"Its strategy was recommended: {' '.join(paragraph(advice.recommendation))}"]
    export.give(args, winner, folder.write(winner, args.to, args.format, why, task))
    return preempt.DONE
