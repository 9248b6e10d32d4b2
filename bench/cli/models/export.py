"""`glideslope export`: the model of a cell whose weights are kept, with a card, to take home."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import Commands, new_console, nonempty, path, whole

if TYPE_CHECKING:
    from bench.export.folder import Exported
    from bench.export.winner import Winner


def add(commands: Commands) -> None:
    """Add `export` to the command line."""
    parser = commands.add_parser("export", help="a kept model of a run, with a card, to take home")
    all_arguments(parser)
    parser.set_defaults(do=export)


def all_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    add = parser.add_argument
    add("directory", type=path, metavar="DIR", help="the --out of a run with --keep")
    add("--task", metavar="T", help="a task of the run, such as digits (default: its only one)")
    add("--strategy", metavar="S", help="a strategy of its table (default: the recommended one)")
    add("--budget", type=float, metavar="B", help="a budget of the run (default: the largest)")
    add("--seed", type=whole, metavar="N", help="(default: the kept one with the best control value)")
    arguments(parser)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where a model goes, shared by `train`."""
    add = parser.add_argument
    add("--to", type=path, required=True, metavar="OUT", help="a folder that is empty or does not exist")
    add(
        "--format",
        choices=("safetensors", "torch-export", "onnx"),
        default="safetensors",
        help="a program beside the weights: of torch.export, or ONNX (the extra onnx); default: weights alone",
    )
    add("--data", type=nonempty, metavar="DIR", help="folder of the real data sets, or `hub`")
    add("--push", type=nonempty, metavar="NAME", help="also upload to the Hugging Face hub, as OWNER/NAME")


def use_data(args: argparse.Namespace) -> None:
    """Set the folder of the real data sets."""
    from tasks.data import dataset

    if args.data is not None:
        dataset.use(args.data)


def export(args: argparse.Namespace) -> int:
    """Export a model."""
    from bench.export import folder, formats
    from bench.export.winner import Request, find
    from bench.report.sections.recommendation import paragraph

    folder.check_empty(args.to)
    formats.check(args.format)
    use_data(args)
    winner = find(args.directory, Request(args.task, args.strategy, args.budget, args.seed))
    request = f"The strategy {winner.strategy} was asked for by name."
    why = [" ".join(paragraph(winner.recommendation)) if args.strategy is None else request]
    give(args, winner, folder.write(winner, args.to, args.format, why))
    return 0


def give(args: argparse.Namespace, winner: Winner, exported: Exported) -> None:
    """Print what an exported folder holds and, if asked to, push it."""
    from bench.export import card, hub
    from bench.report.numbers import number

    settings, metric = winner.cell.settings, winner.facts.metric
    exact = "as in the ledger to the last bit" if metric in card.same(winner, exported) else "which the card explains"
    new_console().print(
        f"{winner.strategy} on {settings.task}, peak LR {settings.peak_lr:g}, seed {settings.seed}: {metric} "
        f"{number(exported.scores[metric])} on test, {exact}\n{_contents(args.to)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if args.push is not None:
        print(hub.push(args.to, args.push))


def _contents(to: Path) -> str:
    return f"{to}: {', '.join(sorted(path.name for path in to.iterdir() if path.is_file()))}"
