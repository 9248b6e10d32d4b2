"""Options of the command line as keyword arguments of Python, parsed by the command line's own parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypedDict

from bench.cli.options import Parser
from bench.contract import InputError, Schedule
from schedules.spec import hint

Texts: TypeAlias = str | Schedule[Any] | Iterable[str | Schedule[Any]]
Numbers: TypeAlias = float | str | Iterable[float]


class RunOptions(TypedDict, total=False):
    """Options of `glideslope run`; `glideslope run --help` explains them. None, or leaving one out, is the default."""

    out: str | Path | None
    tasks: Texts | None
    schedules: Texts | None
    optimizers: Texts | None
    averagings: Texts | None
    weight_decays: Numbers | None
    reference: str | None
    batch_size: int | None
    budgets: Numbers | None
    epochs: Numbers | None
    peak_lrs: Numbers | None
    seeds: int | None
    engine: str | None
    shard: str | None
    workers: int | None
    data_parallel: bool
    precision: str | None
    accumulate: int | None
    compile: bool
    width: int | None
    snapshot_seconds: float | None
    data: str | Path | None
    keep: str | None
    extend: bool
    tune: int | bool | None
    until: str | None
    at_most: int | None
    wandb: str | None


class ExportOptions(TypedDict, total=False):
    """Options of `glideslope export`; `glideslope export --help` explains them."""

    strategy: str | None
    budget: float | None
    seed: int | None
    format: str | None
    data: str | Path | None
    push: str | None


class OptionParser(Parser):
    """The command line's parser, whose errors are raised."""

    def error(self, message: str) -> NoReturn:
        """Raise the message as an InputError."""
        raise InputError(message)


def parsed(
    add: Callable[[argparse.ArgumentParser], None],
    options: Mapping[str, object],
    words: Sequence[str] = (),
    without: Iterable[str] = (),
) -> argparse.Namespace:
    """Parse keyword arguments as the command line parses its options.

    Args:
        add: Adds the command's arguments to a parser.
        options: Values by the names of the options, with underscores.
        words: Arguments that are no options.
        without: Options that only the command line has.

    Raises:
        InputError: the command line's own line, or an option that there is not, with the nearest one.
    """
    parser = OptionParser(add_help=False)
    add(parser)
    actions = {flag[2:].replace("-", "_"): action for action in parser._actions for flag in action.option_strings}
    names = [name for name in actions if name not in set(without)]
    if unknown := [name for name in options if name not in names]:
        near = hint(unknown[0], names)
        raise InputError(f"unknown option {unknown[0]!r}{near}; there are: {', '.join(names)}")
    option_words = [word for name, value in options.items() for word in _words(actions[name], value)]
    positional = ["--", *words] if words else []
    return parser.parse_args([*option_words, *positional])


def _words(action: argparse.Action, value: object) -> list[str]:
    """An option and its value as words of a command line; none for None."""
    flag = action.option_strings[0]
    if value is None:
        return []
    if action.nargs == 0 or (action.nargs == "?" and isinstance(value, bool)):
        if not isinstance(value, bool):
            raise InputError(f"{action.dest}={value!r}: give True or False")
        off = [f"{flag}=0"] if action.nargs == "?" else []  # as `--tune 0`
        return [flag] if value else off
    if action.nargs == "+":
        several = [value] if isinstance(value, str | Path) or not isinstance(value, Iterable) else value
        return [flag, *(_text(action.dest, part) for part in several)]
    return [f"{flag}={_text(action.dest, value)}"]


def _text(name: str, value: object) -> str:
    """A value as the command line has it: text, a path, a number, a schedule, or several with commas between."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Integral):
        return str(value)
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(text := getattr(value, "text", None), str):  # a schedule, an optimizer, an averaging
        return text
    if isinstance(value, Iterable) and not isinstance(value, Mapping | set | frozenset | bytes):
        return ", ".join(_text(name, part) for part in value)
    raise InputError(f"{name}={value!r}: give a text, a number, or a list of them")
