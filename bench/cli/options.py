"""The argument parser and types of options. Each error is one line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from bench.plan.packing import Assigned
from schedules.spec import hint

if TYPE_CHECKING:
    from rich.console import Console

    Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # argparse has no public name for it
else:
    Commands = object

BAD_INPUT = 2


def new_console() -> Console:
    """The terminal, for a command's output. No `:name:` in a text becomes another character."""
    from rich.console import Console

    return Console(emoji=False)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"glideslope: {message} (see {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Check a choice like argparse, and name the nearest one in the error."""
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            subject = f"unknown {'command' if action.dest == 'command' else 'choice'} {value!r}"
            raise argparse.ArgumentError(action, f"{subject}{hint(str(value), names)}; there are: {', '.join(names)}")


MOST = 10**9


def whole(text: str) -> int:
    """A whole number of at most `MOST` in size; no option counts anything beyond."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {_short(text)!r}") from None
    if abs(number) > MOST:
        raise argparse.ArgumentTypeError(f"{_short(text)} is more than {MOST:,}")
    return number


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


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
        if n < 1:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} should be i/n, such as 0/8") from None
    return i, n


def assigned(text: str) -> Assigned:
    """`FILE:I`, 0-based."""
    file, _, task = text.rpartition(":")
    if not (file and task.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} should be FILE:I, such as runs/core/slurm/001/cohorts.json:0")
    return Assigned(Path(file), int(task))


def nonempty(text: str) -> str:
    """A name that is not empty. An unset shell variable would make it so."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def path(text: str) -> Path:
    """A path that is not empty. Python would treat an empty one as the current folder."""
    return Path(nonempty(text))
