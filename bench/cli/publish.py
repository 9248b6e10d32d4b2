"""`glideslope publish`: bring W&B to the state of a ledger; and `--wandb`, an option of `run`."""

from __future__ import annotations

import argparse
import os
from typing import get_args

from bench import extras
from bench.cli.options import Commands, new_console, path
from bench.contract import InputError, Wandb

CHOICES: tuple[Wandb, ...] = get_args(Wandb)
VARIABLE = "GLIDESLOPE_WANDB"


def option(parser: argparse.ArgumentParser) -> None:
    """Add `--wandb`. It is off by default, since a W&B key on the machine is no request to upload thousands of runs."""
    parser.add_argument(
        "--wandb",
        choices=CHOICES,
        default=os.environ.get(VARIABLE, "off"),
        help=f"a W&B run for each cell, written during training (default: {VARIABLE}, or off)",
    )


def wandb_mode(args: argparse.Namespace) -> Wandb:
    """The mode that `--wandb` or the environment sets.

    Raises:
        InputError: the variable has another value, or wandb's own forbids this mode.
    """
    for choice in CHOICES:
        if args.wandb == choice:
            if choice != "off":
                extras.require("wandb")
                from bench.tracking.writer import check_mode

                check_mode(choice == "online")
            return choice
    raise InputError(f"{VARIABLE} is {args.wandb!r}: it should be one of {', '.join(CHOICES)}")


def add(commands: Commands) -> None:
    """Add `publish` to the command line."""
    parser = commands.add_parser("publish", help="bring W&B to the state of a ledger, exactly once, with a report")
    parser.set_defaults(do=publish)
    add = parser.add_argument
    add("directory", type=path, metavar="DIR")
    add("--entity", metavar="E", help="user or team (default: WANDB_ENTITY, then your own)")
    add("--project", metavar="P", help="project (default: WANDB_PROJECT, then glideslope)")
    add("--report", action="store_true", help="write a W&B Report, too, or renew the one there: a draft")
    add("--final", action="store_true", help="publish the report to all who may see the project")


def publish(args: argparse.Namespace) -> int:
    """Publish a ledger."""
    extras.require("wandb", "report")
    from bench.tracking.publish import PublishOptions, publish

    names = ("directory", "entity", "project", "report", "final")
    return publish(PublishOptions(**{name: getattr(args, name) for name in names}), new_console())
