"""`bench.run`: `glideslope run` from a script or a notebook."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Unpack

from bench import extras
from bench.api.options import RunOptions, parsed
from bench.api.results import RunResult, load
from bench.cli import run as command
from bench.numerics import tf32_restored
from bench.plan import Suite, suite_file
from bench.preempt import PREEMPTED, SIGNALS, Flag

if TYPE_CHECKING:
    from rich.console import Console

    from bench.runner.config import RunConfig

ALONE = ("plan", "assigned")
"""Options of the command line alone: one trains nothing, the other is of array jobs."""


def run(suite: str | Path | Suite = "core", *, progress: bool = True, **options: Unpack[RunOptions]) -> RunResult:
    """Train a suite and compare, as `glideslope run` does; the same call continues where an earlier one was stopped.

    Worker processes import nothing of the calling script, so it needs no `if __name__ == "__main__"`. Signals and
    torch's settings are as before when this returns.

        bench.run("smoke")
        bench.run(tasks="digits", schedules=["constant", schedules.cosine()], budgets=[0.1, 0.25], seeds=6)
        bench.run(bench.Suite("mine", (bench.Grid(task="digits", schedules=("constant", "wsd")),)), workers=2)

    Args:
        suite: A suite of `glideslope list suites`, a Python file with `suite()`, or a Suite.
        progress: Print the plan, a bar and the answer, as the command does.
        options: Options of `glideslope run`, with underscores: out, tasks, schedules, optimizers, averagings, budgets,
            peak_lrs, seeds, engine, workers, precision, tune, wandb and so on. Lists are lists, and numbers numbers.

    Returns:
        The result in the run's directory. `failures` names cohorts that could not be trained.

    Raises:
        InputError: bad input, with the command line's own line.
        KeyboardInterrupt: Ctrl-C, once the update is finished and a snapshot is written; at once by a second one.
        SystemExit: any other signal of the kind, with exit code 75.
    """
    config = _config(suite, options)
    from bench.runner import session

    flag = Flag(last=_interrupt)
    with undisturbed():
        code = session.run(config, _console(progress), flag)
    if code == PREEMPTED:
        raise KeyboardInterrupt if flag.signal == signal.SIGINT else SystemExit(PREEMPTED)
    return load(config.directory)


def _config(suite: str | Path | Suite, options: RunOptions) -> RunConfig:
    """The configuration that the command line would make of these arguments."""
    extras.require("bench")
    if isinstance(suite, Suite):
        suite = suite_file.checked(suite, f"suite {suite.name!r}")
    words = [] if isinstance(suite, Suite) else [str(suite)]
    config = command.config_of(parsed(command.arguments, options, words, ALONE))
    return replace(config, suite=suite.name, own_suite=suite) if isinstance(suite, Suite) else config


def _console(progress: bool) -> Console:
    """The terminal or the notebook. Without ipywidgets a notebook gets lines, as a file would, and no bar."""
    from rich.console import Console

    console = Console(emoji=False, quiet=not progress)
    if console.is_jupyter and not find_spec("ipywidgets"):
        return Console(emoji=False, quiet=not progress, force_jupyter=False, force_terminal=False)
    return console


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """Restore signal handlers, the variables of the environment, and torch's settings and random numbers."""
    import torch

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    environment, threads = dict(os.environ), torch.get_num_threads()
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())), tf32_restored():
            yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        torch.set_num_threads(threads)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)
